#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/callable.hpp"
#include "troupe/runtime/call_config.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

/// Tasks of a plan that run on one chip, with the edges between them: to the rest of the system one task,
/// whose arguments are what they use together. Nothing in it is an address. Immutable.
struct TROUPE_API Bundle {
  /// Its own of the lists below begin here, and end where those of the next one begin.
  struct Task {
    std::uint32_t tensors = 0, scalars = 0, producers = 0;
    std::uint16_t callable = 0;
    std::uint16_t name = 0;    ///< in `names`, from 1 on; 0: the callable's
    std::uint16_t option = 0;  ///< in `options`, from 1 on; 0: none
  };
  /// A part of an argument of the whole: so many bytes behind its first element.
  struct View {
    std::uint64_t offset : 41 = 0;
    std::uint64_t argument : 7 = 0;
    std::uint64_t layout : 16 = 0;
  };
  /// Tasks with more, or larger ones, do not become one.
  static constexpr std::uint64_t offsets = std::uint64_t{1} << 41U;
  static constexpr std::size_t most_arguments = 1U << 7U, most_layouts = 1U << 16U;
  struct Layout {
    std::uint8_t dims = 0;
    runtime::DType dtype{};
    std::array<std::uint32_t, runtime::limits::max_dims> shape{}, strides{};
    friend bool operator==(const Layout&, const Layout&) = default;
    friend auto operator<=>(const Layout&, const Layout&) = default;
  };
  struct Option {
    std::uint32_t blocks = 0;
    std::optional<runtime::CallConfig> config;
  };
  struct Code {
    const Callable* callable = nullptr;
    CallableRef owned = nullptr;  ///< when it came with its submit
  };
  /// Scalar `scalar` is scalar `argument` of the whole.
  struct Patch {
    std::uint32_t scalar = 0, argument = 0;
  };

  std::vector<Task> tasks;             ///< one more than there are
  std::vector<std::uint32_t> tensors;  ///< view << tag_bits | tag
  std::vector<View> views;
  std::vector<Layout> layouts;
  std::vector<std::uint64_t> scalars;
  std::vector<std::uint8_t> scalar_kinds;
  std::vector<Patch> patches;  ///< by scalar
  std::vector<std::uint32_t> producers;
  std::vector<Code> code;
  std::vector<std::string> names;
  std::vector<Option> options;
  bool keeps_strides = false;  ///< one of them may compute with strides that it knows
  bool has_workspace = false;  ///< the last argument of the whole is memory of their own

  static constexpr std::uint32_t tag_bits = 3;

  std::uint32_t size() const { return static_cast<std::uint32_t>(tasks.size()) - 1; }
  std::span<const std::uint32_t> tensors_of(std::uint32_t task) const {
    return part(tensors, tasks[task].tensors, tasks[task + 1].tensors);
  }
  std::span<const std::uint32_t> producers_of(std::uint32_t task) const {
    return part(producers, tasks[task].producers, tasks[task + 1].producers);
  }
  std::string_view name_of(std::uint32_t task) const {
    const auto& it = tasks[task];
    return it.name != 0 ? names[it.name - 1U] : code[it.callable].callable->name;
  }
  /// What tensor argument of the task means, given the argument of the whole that it is a part of.
  Operand operand(std::uint32_t tensor, const Arguments& whole) const;
  std::size_t bytes() const;

 private:
  template <class T>
  static std::span<const T> part(const std::vector<T>& list, std::uint32_t begin, std::uint32_t end) {
    return {list.data() + begin, end - begin};
  }
};

}  // namespace troupe::actors
