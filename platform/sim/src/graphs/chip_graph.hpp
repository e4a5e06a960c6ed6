#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tasks/tasks.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::sim {

/// On-chip tasks and the edges between them, known before they run: what they touch are parts of slots, which
/// each replay brings, or of the workspace, which it makes. No addresses, and nothing that changes; kernels
/// are numbers in a list that each replay brings as well. Immutable once made, so any thread reads it.
struct ChipGraph {
  /// Its own of the lists below begin here, and end where those of the next one begin.
  struct Step {
    std::uint32_t views = 0, scalars = 0, successors = 0;
    std::uint16_t code = 0;
    std::uint16_t name = 0;  ///< in `names`, from 1 on; 0: the kernel's
  };
  enum StepFlag : std::uint16_t {
    sync_start = 1,
    is_store = 2,
    has_fills = 4,
    has_predicate = 8,  ///< its last view is the predicate's
  };
  struct View {
    std::uint64_t offset : 39 = 0;  ///< bytes behind the first element of its slot
    std::uint64_t slot : 9 = 0;     ///< the one behind the last: the workspace
    std::uint64_t layout : 13 = 0;
    std::uint64_t tag : 3 = 0;
  };
  /// Larger ones are not in a graph.
  static constexpr std::uint64_t offsets = std::uint64_t{1} << 39U;
  static constexpr std::size_t most_slots = (1U << 9U) - 1, most_layouts = 1U << 13U;
  /// What steps have in common that run the same.
  struct Code {
    std::array<std::uint16_t, 3> lanes{};  ///< which kernels, from 1 on; 0: none
    std::uint16_t flags = 0;               ///< enum StepFlag
    std::uint32_t blocks = 1;
    friend bool operator==(const Code&, const Code&) = default;
    friend auto operator<=>(const Code&, const Code&) = default;
  };
  struct FillOf {
    std::uint32_t view = 0;
    std::uint64_t element = 0;
    friend bool operator==(const FillOf&, const FillOf&) = default;
  };
  struct PredicateOf {
    std::uint32_t step = 0, compare = 0;
    std::uint64_t element = 0;
    std::int64_t value = 0;
  };
  /// In `kinds`, of a scalar whose word is the number of a slot.
  static constexpr std::uint8_t slot_kind = 0x80;

  std::vector<Step> steps;  ///< one more than there are
  std::vector<View> views;
  std::vector<runtime::TensorDescriptor> layouts;  ///< without an address
  std::vector<std::uint64_t> scalars;
  std::vector<std::uint8_t> kinds;
  std::vector<std::uint32_t> successors;
  std::vector<std::uint32_t> producers;  ///< how many each step has
  std::vector<std::uint32_t> first;      ///< steps without any
  std::vector<Code> codes;
  std::vector<FillOf> fills;            ///< by view
  std::vector<PredicateOf> predicates;  ///< by step
  std::vector<std::string> names;
  /// Steps lie in the order in which they are ready: the number by which each was submitted. Empty: the same.
  std::vector<std::uint32_t> numbers;
  std::uint32_t slots = 0;
  std::uint64_t workspace_bytes = 0;
  std::uint32_t most_clusters = 0, most_aivs = 0;  ///< blocks that have to start together

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(producers.size()); }
  std::span<const View> views_of(std::uint32_t step) const noexcept {
    return {views.data() + steps[step].views, steps[step + 1].views - steps[step].views};
  }
  std::span<const std::uint32_t> successors_of(std::uint32_t step) const noexcept {
    return {successors.data() + steps[step].successors, steps[step + 1].successors - steps[step].successors};
  }
  std::uint32_t scalars_of(std::uint32_t step) const noexcept {
    return steps[step + 1].scalars - steps[step].scalars;
  }
  const Code& code_of(std::uint32_t step) const noexcept { return codes[steps[step].code]; }
  /// For people.
  std::uint32_t number_of(std::uint32_t step) const noexcept {
    return numbers.empty() ? step : numbers[step];
  }
  std::size_t bytes() const noexcept;
  /// The first step in which two graphs differ; nothing: they are the same. Names do not count.
  std::optional<std::uint32_t> differs_at(const ChipGraph& other) const;
};

}  // namespace troupe::platform::sim
