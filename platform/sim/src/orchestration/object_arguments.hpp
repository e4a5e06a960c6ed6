#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "orchestration/object_abi.hpp"
#include "runs/runs.hpp"

namespace troupe::platform::sim {

/// A container of task arguments that an object has filled, whichever runtime it was compiled for. Borrowed:
/// nothing in it has been looked at but the counts.
struct ObjectArguments {
  std::span<const std::int32_t> tags;
  std::span<const void* const> tensors;
  std::span<const std::uint64_t> scalars;
  object_abi::LaunchSpec launch{};
  const object_abi::Predicate* predicate = nullptr;
  std::int32_t timing_slot = -1;
  const object_abi::DumpSelection* dump = nullptr;
  const std::uint64_t* dependencies = nullptr;
  const std::uint8_t* dependency_kinds = nullptr;
  std::uint32_t dependency_count = 0;
};

/// A pointer that cannot be to what it should be.
template <class T>
bool is_misplaced(const void* given) noexcept {
  return given == nullptr || reinterpret_cast<std::uintptr_t>(given) % alignof(T) != 0;
}

/// Reads one; `why`: it notes an error of its own, or holds more than it has room for.
[[nodiscard]] std::optional<ObjectArguments> read_arguments(const void* container, bool is_host_graph,
                                                            std::string& why);

/// The container that an entry takes: every tensor of a run as an input, by its descriptor, then the scalars.
/// It keeps the descriptors, which have device addresses. Some kilobytes, so that most runs allocate nothing
/// for it.
class EntryArguments {
 public:
  EntryArguments(const Run& run, std::span<const runtime::Tensor> tensors, bool is_host_graph);
  EntryArguments(const EntryArguments&) = delete;
  EntryArguments& operator=(const EntryArguments&) = delete;
  const void* container() const noexcept {
    return host_graph_ ? static_cast<const void*>(&*host_graph_) : &*tensormap_;
  }

 private:
  static constexpr std::size_t usual_tensors = 16;
  std::array<runtime::TensorDescriptor, usual_tensors> few_;
  std::vector<runtime::TensorDescriptor> many_;
  std::optional<object_abi::TensormapChip> tensormap_;
  std::optional<object_abi::HostGraphChip> host_graph_;
};

}  // namespace troupe::platform::sim
