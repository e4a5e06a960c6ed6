// What a chip's process and its parent say to each other, from any bytes: frames of a stream that comes in
// pieces, and what each kind of them means. Nothing is read that is not there, and nothing is kept that did
// not come.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "wire/wire.hpp"

using namespace troupe::platform::isolation;

namespace {

/// Looks at every byte, for the sanitizers.
template <class T>
std::uint64_t sum(const T* from, std::size_t count) {
  std::uint64_t all = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < count * sizeof(T); ++i) all += bytes[i];
  return all;
}

std::uint64_t look_at_runs(Reader reader) {
  const auto count = reader.get<std::uint32_t>();
  RunBatch batch;
  const auto nowhere = [](std::uint32_t, std::uint64_t, std::uint64_t) { return std::uint64_t{0}; };
  if (!batch.read(reader, count, nowhere)) return 0;
  if (batch.runs().size() != count) std::abort();
  std::uint64_t all = 0;
  Writer again;
  for (const auto& run : batch.runs()) {
    all += sum(run.tensors, run.tensor_count) + sum(run.scalars, run.scalar_count) +
           sum(run.depends_on, run.depends_count);
    if (run.scalar_kinds != nullptr) all += sum(run.scalar_kinds, run.scalar_count);
    put_run(again, run, {run.tensors, run.tensor_count});
  }
  // What was read can be said again.
  Reader second(again.bytes());
  RunBatch same;
  if (!same.read(second, count, nowhere) || !second.complete()) std::abort();
  return all;
}

std::uint64_t look_at_graph(Reader reader) {
  (void)reader.get<GraphPiece>();
  GraphNews news;
  if (!news.read(reader)) return 0;
  const auto& graph = news.graph();
  std::uint64_t all = std::strlen(graph.name);
  for (std::uint64_t i = 0; i < graph.task_count; ++i)
    all += graph.tasks[i].name != nullptr ? std::strlen(graph.tasks[i].name) : graph.tasks[i].callable;
  all += sum(graph.tensors, graph.tensor_count) + sum(graph.scalars, graph.scalar_count) +
         sum(graph.producers, graph.producer_count) + sum(graph.slots, graph.slot_count);
  // What was read can be said again.
  Writer again;
  put_graph(again, graph);
  GraphNews same;
  if (!same.read(Reader(again.bytes())) || same.graph().task_count != graph.task_count) std::abort();
  return all;
}

std::uint64_t look_at(const Frame& frame) {
  std::uint64_t all = 0;
  switch (frame.kind) {
    case Kind::register_graph:
      return look_at_graph(Reader(frame.payload));
    case Kind::launch:
      return look_at_runs(Reader(frame.payload));
    case Kind::completions: {
      Reader reader(frame.payload);
      std::vector<troupe_completion> ends;
      std::vector<std::string> messages;
      if (!read_completions(reader, ends, messages)) return 0;
      if (ends.size() != messages.size()) std::abort();
      for (const auto& message : messages) all += sum(message.data(), message.size());
      return all;
    }
    case Kind::trace: {
      Reader reader(frame.payload);
      TraceBatch batch;
      if (!batch.read(reader)) return 0;
      for (const auto& event : batch.events()) {
        all += std::strlen(event.name);
        if (event.producers != nullptr) all += sum(event.producers, event.producer_count);
      }
      return all;
    }
    case Kind::dump: {
      Reader reader(frame.payload);
      troupe_dump_record record{};
      std::string name;
      if (!read_dump(reader, record, name)) return 0;
      if (record.data != nullptr) {
        all += sum(static_cast<const unsigned char*>(record.data), static_cast<std::size_t>(record.bytes));
      }
      return all + std::strlen(record.name);
    }
    default:
      return sum(frame.payload.data(), frame.payload.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first byte says how large the pieces are that the rest comes in.
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  auto left = std::as_bytes(std::span(data, size)).subspan(1);
  Assembler assembler;
  std::uint64_t all = 0;
  while (!left.empty()) {
    const auto room = assembler.room();
    // Memory grows with what has come, not with what is announced.
    if (room.empty() || room.size() > 4 * size + (std::size_t{64} << 10U)) std::abort();
    const auto count = std::min({piece, left.size(), room.size()});
    std::memcpy(room.data(), left.data(), count);
    assembler.took(count);
    left = left.subspan(count);
    Frame frame;
    for (;;) {
      const auto next = assembler.next(frame);
      if (!next) return 0;
      if (!*next) break;
      if (frame.payload.size() > most_frame_bytes || frame.descriptors.size() > most_descriptors)
        std::abort();
      all += look_at(frame);
    }
  }
  if (all == UINT64_MAX) std::abort();  // it has been looked at
  return 0;
}
