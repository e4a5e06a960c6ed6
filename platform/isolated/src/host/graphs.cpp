// Graphs of a context: described to the process once; a launch is a run whose callable is the graph.
#include <algorithm>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {
namespace {

/// Whether its lists are there, so that they can be sent; all else is looked at by the library.
bool can_be_read(const troupe_graph& graph) {
  return graph.size >= sizeof graph && (graph.tasks != nullptr || graph.task_count == 0) &&
         (graph.tensors != nullptr || graph.tensor_count == 0) &&
         (graph.scalars != nullptr || graph.scalar_count == 0) &&
         (graph.producers != nullptr || graph.producer_count == 0) &&
         (graph.slots != nullptr || graph.slot_count == 0);
}

/// Of its lists; a count beyond any memory is as large as the largest.
bool is_too_long(const troupe_graph& graph) {
  const std::uint64_t counts[] = {graph.task_count, graph.tensor_count, graph.scalar_count,
                                  graph.producer_count, graph.slot_count};
  const std::uint64_t sizes[] = {sizeof(troupe_graph_task) + 1, sizeof(troupe_graph_tensor),
                                 sizeof(troupe_graph_scalar), sizeof(std::uint32_t),
                                 sizeof(troupe_tensor_arg)};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < std::size(counts); ++i) {
    if (counts[i] > most_graph_bytes / sizes[i]) return true;
    bytes += counts[i] * sizes[i];
  }
  return bytes > most_graph_bytes;
}

}  // namespace

std::int32_t Context::register_graph(const troupe_graph* graph, std::uint64_t* id) {
  if (graph == nullptr) return null_argument("graph");
  if (id == nullptr) return null_argument("id");
  if (!can_be_read(*graph))
    return note(TROUPE_DEVICE_INVALID_ARGUMENT, "register_graph: a list is null, or another version's size");
  const char* const why = "register_graph: it is too long to be sent to the chip's process";
  if (is_too_long(*graph)) return note(TROUPE_DEVICE_UNSUPPORTED, why);
  Writer words;
  put_graph(words, *graph);
  const auto bytes = words.bytes();
  if (bytes.size() > most_graph_bytes) return note(TROUPE_DEVICE_UNSUPPORTED, why);
  const std::lock_guard lock(bringing_);
  for (std::uint64_t offset = 0;;) {
    const auto length = std::min<std::uint64_t>(graph_piece_bytes, bytes.size() - offset);
    Writer piece;
    piece.put(GraphPiece{offset, bytes.size()}).raw(bytes.data() + offset, static_cast<std::size_t>(length));
    offset += length;
    const auto answer = ask(Kind::register_graph, piece);
    if (answer.code != 0) return note(answer);
    if (offset < bytes.size()) continue;
    Reader reader(answer.more);
    *id = reader.get<std::uint64_t>();
    return reader.complete() ? 0 : note(bad_answer());
  }
}

std::int32_t Context::launch_graph(const troupe_run* run, std::uint64_t settled) {
  if (run == nullptr) return null_argument("run");
  return launch(run, 1, settled, true);
}

}  // namespace troupe::platform::isolation
