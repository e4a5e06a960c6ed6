#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plan/bundle.hpp"
#include "plan/image.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/scalar.hpp"

namespace troupe::actors {

/// A plan as any process can have it: the recorded program task by task, with the numbers of parameters and
/// intermediates for tensors, and digests for code. Which tasks become one is found out anew by whoever loads
/// it. A plain value: what is decoded is well-formed, and may still be refused by the node that is to run it.
struct SavedPlan {
  /// Elements of a parameter or an intermediate.
  struct View {
    PlanRoot::Kind root = PlanRoot::Kind::fixed;
    runtime::Tag tag{};
    std::uint32_t index = 0;   ///< of the parameter or intermediate
    std::uint32_t layout = 0;  ///< in `layouts`
    std::uint64_t offset = 0;  ///< bytes behind its first element
  };
  struct Scalar {
    runtime::ScalarArg value;
    std::int32_t slot = -1;  ///< the parameter that it is; -1: `value`
  };
  struct Parameter {
    bool is_tensor = false, is_slot = false;
    runtime::ScalarArg scalar;
    std::uint32_t memory = 0;  ///< the same for tensors that lie in one buffer
    std::uint32_t layout = 0;
    std::uint64_t buffer_bytes = 0, offset = 0;
  };
  struct Code {
    CallableKind kind = CallableKind::chip;
    DataTask data_task = DataTask::none;
    std::string name;
    runtime::Digest digest;
  };
  /// The arguments of a task, or of a member of a group.
  struct Member {
    std::vector<View> tensors;
    std::vector<Scalar> scalars;
    std::int32_t home = -1;
  };
  struct Task {
    std::uint32_t code = 0;
    std::uint32_t name = 0;  ///< in `names`, from 1 on; 0: the callable's
    std::uint32_t blocks = 0;
    bool is_group = false, is_idempotent = false;
    std::int64_t priority = 0;
    std::optional<std::int64_t> target, deadline, attempts;
    std::optional<runtime::CallConfig> config;
    std::vector<Member> members;  ///< one, unless it is a group
    std::vector<int> chips;       ///< of a group
    std::vector<std::uint32_t> after;
  };

  std::string name;
  std::vector<Bundle::Layout> layouts;
  std::vector<Parameter> parameters;
  std::vector<std::uint32_t> intermediates;  ///< their layouts
  std::vector<Code> code;
  std::vector<std::string> names;
  std::vector<Task> tasks;
};

/// Before the plan itself: who wrote it, in which version, and the digest of what follows.
constexpr std::size_t plan_head_bytes = 45;

/// Throws what a file cannot have, naming the task and why.
TROUPE_API SavedPlan saved(const PlanImage& image);

/// The bytes of a file: a version, the plan, and a digest of it all.
TROUPE_API std::vector<std::byte> encode(const SavedPlan& plan);
/// Of bytes that may be anything. Takes memory for what is there, not for what is announced. Errors:
/// `wire_version`, `wire_truncated`, `wire_malformed`.
TROUPE_API Result<SavedPlan> decode_plan(std::span<const std::byte> file);
/// The plan alone, without version and digest.
TROUPE_API Result<SavedPlan> decode_plan_body(std::span<const std::byte> body);

/// What `node.load_plan` reads. Errors: `cannot_read`, or as above, with the file's name.
Result<SavedPlan> read_plan(const std::string& path);

}  // namespace troupe::actors
