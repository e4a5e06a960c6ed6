#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plan/bundle.hpp"
#include "troupe/actors/orchestrator.hpp"

namespace troupe::actors {

/// Where a tensor argument of a step comes from.
struct PlanRoot {
  enum class Kind : std::uint8_t {
    fixed,         ///< touches no byte: as it was recorded
    slot,          ///< a part of a parameter
    captured,      ///< a part of a tensor that the plan keeps
    intermediate,  ///< a part of one that each replay makes
  };
  Kind kind = Kind::fixed;
  std::uint32_t index = 0;
  friend auto operator<=>(const PlanRoot&, const PlanRoot&) = default;
};

struct PlanIntermediate {
  runtime::Shape shape;
  runtime::DType dtype{};
};

/// What a replay submits: a task, a group, or tasks that became one.
struct PlanStep {
  const Callable* callable = nullptr;
  detail::SubmitCall call;
  std::vector<Args> members;  ///< of a group
  std::vector<int> chips;
  std::vector<PlanRoot> roots;                     ///< of its tensor arguments, member by member
  std::vector<std::uint32_t> after;                ///< steps
  std::vector<std::uint32_t> makes;                ///< intermediates that are first used by it,
  std::vector<std::uint32_t> drops;                ///< and last
  std::uint32_t tasks = 1;                         ///< that it stands for
  std::optional<PlanIntermediate> workspace = {};  ///< memory that they need beside: the next argument
};

struct PlanParameter {
  bool is_tensor = false;
  bool is_slot = false;         ///< of a number; every tensor is one
  runtime::Tensor tensor = {};  ///< as it was recorded
  runtime::ScalarArg scalar = {};
  bool reads = false, writes = false;
  bool overwritten = false;  ///< all of it, before anything was read
  std::uint64_t memory = 0;  ///< the same for tensors of one buffer; 0: of none
};

/// Memory that is neither a parameter's nor an intermediate: the plan keeps it.
struct PlanCapture {
  Operand whole;  ///< all of its buffer
  std::shared_ptr<BufferHold> hold;
  bool writes = false;
};

struct PlanImage {
  std::string name;
  std::uint32_t node = 0;  ///< that recorded it
  std::string path;        ///< of that
  std::weak_ptr<const void> system;
  std::shared_ptr<const void> callables;  ///< what keeps those of the node
  std::vector<PlanParameter> parameters;
  std::vector<PlanCapture> captures;
  std::vector<PlanIntermediate> intermediates;
  std::vector<PlanStep> steps;
  std::vector<std::shared_ptr<BufferHold>> holds;    ///< of captured memory of chips
  std::vector<std::shared_ptr<const void>> domains;  ///< that its tasks communicate in, kept
  std::uint32_t tasks = 0;

  std::size_t bytes() const;
  std::string describe() const;
};

/// The same elements as `view`, a part of `recorded`, as a part of `given`, which has the same layout.
runtime::Tensor rebound(const runtime::Tensor& view, const runtime::Tensor& recorded,
                        const runtime::Tensor& given);

}  // namespace troupe::actors
