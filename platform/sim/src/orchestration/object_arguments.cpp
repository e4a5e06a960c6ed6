#include "orchestration/object_arguments.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::platform::sim {

namespace {

constexpr std::size_t most_text = 512;

template <class Container>
std::optional<ObjectArguments> read(const Container& from, std::string& why) {
  if (from.has_error != 0) {
    why = from.error_text != nullptr ? std::string(from.error_text, strnlen(from.error_text, most_text))
                                     : "it notes an error";
    return std::nullopt;
  }
  const auto fits = [](std::int32_t count, std::size_t most) {
    return count >= 0 && static_cast<std::size_t>(count) <= most;
  };
  if (!fits(from.tensor_count, Container::tensor_limit) ||
      !fits(from.scalar_count, Container::scalar_limit)) {
    why =
        std::to_string(from.tensor_count) + " tensors and " + std::to_string(from.scalar_count) + " scalars";
    return std::nullopt;
  }
  ObjectArguments read;
  read.tags = {from.tags, static_cast<std::size_t>(from.tensor_count)};
  read.tensors = {from.tensors, static_cast<std::size_t>(from.tensor_count)};
  read.scalars = {from.scalars, static_cast<std::size_t>(from.scalar_count)};
  read.launch = from.launch;
  read.predicate = &from.predicate;
  read.timing_slot = from.timing_slot;
  read.dump = &from.dump;
  read.dependencies = from.dependencies;
  read.dependency_count = from.dependency_count;
  if constexpr (requires { from.dependency_kinds; }) read.dependency_kinds = from.dependency_kinds;
  return read;
}

template <class Container>
void fill(Container& made, const Run& run, std::span<const runtime::TensorDescriptor> tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) made.tensors[i] = &tensors[i];
  std::copy(run.scalars.begin(), run.scalars.end(), made.scalars);
  made.tensor_count = static_cast<std::int32_t>(tensors.size());
  made.scalar_count = static_cast<std::int32_t>(run.scalars.size());
  made.launch.blocks = 1;
  made.timing_slot = -1;
}

}  // namespace

std::optional<ObjectArguments> read_arguments(const void* container, bool is_host_graph, std::string& why) {
  if (is_host_graph) return read(*static_cast<const object_abi::HostGraphTask*>(container), why);
  return read(*static_cast<const object_abi::TensormapTask*>(container), why);
}

EntryArguments::EntryArguments(const Run& run, std::span<const runtime::Tensor> tensors, bool is_host_graph) {
  if (tensors.size() > few_.size()) many_.resize(tensors.size());
  const std::span described(many_.empty() ? few_.data() : many_.data(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& tensor = tensors[i];
    const std::uint64_t address = tensor.empty() ? 0 : tensor.buffer().offset;
    described[i] = runtime::describe(tensor, address, runtime::AddressSpace::device);
  }
  if (is_host_graph) {
    fill(host_graph_.emplace(), run, described);
  } else {
    fill(tensormap_.emplace(), run, described);
  }
}

}  // namespace troupe::platform::sim
