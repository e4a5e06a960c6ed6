// Graphs, on the real library.
#include "chip/process.hpp"

namespace troupe::platform::isolation {

/// A piece of a description; the last one makes it a graph.
Writer Process::add_graph(Reader& reader) {
  if (api_.register_graph == nullptr) return lacks("register_graph");
  const auto piece = reader.get<GraphPiece>();
  const auto bytes = reader.take(reader.left());
  if (!reader.fine() || piece.bytes > most_graph_bytes) return misread();
  std::vector<std::byte> description;
  {
    const std::lock_guard lock(mutex_);
    if (piece.offset == 0) graph_.clear();
    if (piece.offset != graph_.size() || bytes.size() > piece.bytes - piece.offset) return misread();
    graph_.insert(graph_.end(), bytes.begin(), bytes.end());
    if (graph_.size() < piece.bytes) return answer_of(0);
    description.swap(graph_);
  }
  GraphNews news;
  if (!news.read(Reader(description))) return misread();
  std::uint64_t id = 0;
  const auto code = api_.register_graph(context_, &news.graph(), &id);
  return coded(code, id);
}

}  // namespace troupe::platform::isolation
