#pragma once

// The arguments of one task: tensors with tags, and scalars. TaskArgs owns its lists, never the tensors'
// memory; a TaskArgsView borrows and must not outlive what it was taken from. One user at a time. Errors:
// validate() and try_add() return a Result, add() and of() throw the same Error, which names the argument:
// too_many_tensors, too_many_scalars, unknown_tag, or the defect of the tensor. blocks() throws.

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/runtime/scalar.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::runtime {

/// How a task uses a tensor; the dependencies of a program are inferred from these.
enum class Tag : std::uint8_t {
  in = 0,            ///< reads
  out = 1,           ///< writes every byte; memory is allocated when the tensor has none
  inout = 2,         ///< reads and writes, or writes only a part
  out_existing = 3,  ///< writes every byte of memory that exists already
  no_dep = 4,        ///< touches it, but takes no part in dependency inference
};

inline constexpr std::size_t tag_count = 5;
[[nodiscard]] constexpr bool is_tag(std::uint32_t value) noexcept { return value < tag_count; }
[[nodiscard]] constexpr bool reads(Tag tag) noexcept { return tag == Tag::in || tag == Tag::inout; }
[[nodiscard]] constexpr bool writes(Tag tag) noexcept {
  return tag == Tag::out || tag == Tag::inout || tag == Tag::out_existing;
}
[[nodiscard]] constexpr std::string_view name_of(Tag tag) noexcept {
  constexpr std::string_view names[tag_count] = {"in", "out", "inout", "out_existing", "no_dep"};
  const auto index = static_cast<std::size_t>(tag);
  return index < tag_count ? names[index] : "?";
}

struct TensorArg {
  Tensor tensor;
  Tag tag = Tag::in;
};

[[nodiscard]] inline TensorArg in(const Tensor& tensor) noexcept { return {tensor, Tag::in}; }
[[nodiscard]] inline TensorArg out(const Tensor& tensor) noexcept { return {tensor, Tag::out}; }
[[nodiscard]] inline TensorArg inout(const Tensor& tensor) noexcept { return {tensor, Tag::inout}; }
[[nodiscard]] inline TensorArg out_existing(const Tensor& tensor) noexcept {
  return {tensor, Tag::out_existing};
}
[[nodiscard]] inline TensorArg no_dep(const Tensor& tensor) noexcept { return {tensor, Tag::no_dep}; }

/// SPMD width: the task runs `count` times, each call with its own block_idx().
struct Blocks {
  std::uint32_t count = 1;
};
namespace detail {
[[noreturn]] TROUPE_API void refuse_blocks(std::int64_t count);
}
/// Throws `invalid_args` for less than one.
template <std::integral T>
[[nodiscard]] constexpr Blocks blocks(T count) {
  if (!std::in_range<std::uint32_t>(count) || count < T{1}) {
    detail::refuse_blocks(std::in_range<std::int64_t>(count) ? static_cast<std::int64_t>(count) : INT64_MAX);
  }
  return {static_cast<std::uint32_t>(count)};
}

/// How many arguments a kind of task can carry.
struct ArgLimits {
  std::size_t tensors = limits::chip_tensors;
  std::size_t scalars = limits::chip_scalars;
};
inline constexpr ArgLimits chip_task_limits{limits::chip_tensors, limits::chip_scalars};
inline constexpr ArgLimits core_task_limits{limits::core_tensors, limits::core_scalars};

/// The arguments of one task, borrowed: valid as long as the TaskArgs or the bytes they were taken from.
/// Tensor i has tag i; scalars are counted on their own.
struct TaskArgsView {
  std::span<const Tensor> tensors;
  std::span<const Tag> tags;
  std::span<const std::uint64_t> scalars;

  std::size_t size() const noexcept { return tensors.size() + scalars.size(); }
};

/// Whether a view from anywhere can be the arguments of a task with these limits: counts, tags, tensors. The
/// error names the argument, e.g. "tensor argument 3".
[[nodiscard]] TROUPE_API Result<void> validate(const TaskArgsView& view,
                                               const ArgLimits& limits = chip_task_limits);

/// Owns the arguments of one task while it is being put together. Tensors and scalars may be added in any
/// order; each kind keeps its own. Not thread-safe. `clear` keeps the memory for the next task.
class TROUPE_API TaskArgs {
 public:
  TaskArgs() = default;
  explicit TaskArgs(const ArgLimits& limits) : limits_(limits) {}

  /// `TaskArgs::of(in(a), out(c), scalar(2.0f))`. Throws what `add` throws.
  template <class... Args>
  [[nodiscard]] static TaskArgs of(const Args&... args) {
    TaskArgs result;
    (result.add(args), ...);
    return result;
  }

  /// `name` (optional) is the user's word for the argument; errors repeat it.
  [[nodiscard]] Result<void> try_add(const TensorArg& arg, std::string_view name = {});
  [[nodiscard]] Result<void> try_add(const ScalarArg& arg, std::string_view name = {});
  TaskArgs& add(const TensorArg& arg, std::string_view name = {}) {
    return try_add(arg, name).value(), *this;
  }
  TaskArgs& add(const ScalarArg& arg, std::string_view name = {}) {
    return try_add(arg, name).value(), *this;
  }

  TaskArgsView view() const noexcept { return {tensors_, tags_, scalars_}; }
  std::size_t size() const noexcept { return tensors_.size() + scalars_.size(); }
  void clear() noexcept;

 private:
  ArgLimits limits_ = chip_task_limits;
  std::vector<Tensor> tensors_;
  std::vector<Tag> tags_;
  std::vector<std::uint64_t> scalars_;
};

}  // namespace troupe::runtime
