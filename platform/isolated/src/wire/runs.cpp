#include "wire/runs.hpp"

#include <cstring>
#include <utility>

namespace troupe::platform::isolation {
namespace {

static_assert(sizeof(troupe_tensor_arg::reserved) == sizeof(std::uint32_t));

/// A run without its arrays.
struct RunHead {
  std::uint64_t correlation, callable;
  std::uint32_t tensor_count, scalar_count, depends_count, flags, blocks, block_dim, control_threads,
      chip_runtime, has_kinds, name_bytes, is_graph, reserved;
};

}  // namespace

std::uint32_t piece_of(const troupe_tensor_arg& tensor) noexcept {
  std::uint32_t piece = 0;
  std::memcpy(&piece, tensor.reserved, sizeof piece);
  return piece;
}

void set_piece(troupe_tensor_arg& tensor, std::uint32_t piece) noexcept {
  std::memcpy(tensor.reserved, &piece, sizeof piece);
}

void put_run(Writer& to, const troupe_run& run, std::span<const troupe_tensor_arg> tensors, bool is_graph) {
  constexpr std::size_t most_name = 4096;
  const auto name = std::string_view(run.name != nullptr ? run.name : "").substr(0, most_name);
  const bool has_kinds = run.scalar_kinds != nullptr && run.scalar_count != 0;
  to.put(RunHead{run.correlation, run.callable, run.tensor_count, run.scalar_count, run.depends_count,
                 run.flags, run.blocks, run.block_dim, run.control_threads, run.chip_runtime,
                 has_kinds ? 1U : 0U, static_cast<std::uint32_t>(name.size()), is_graph ? 1U : 0U, 0});
  to.raw(tensors.data(), tensors.size_bytes());
  to.raw(run.scalars, std::size_t{run.scalar_count} * sizeof(std::uint64_t));
  to.raw(run.depends_on, std::size_t{run.depends_count} * sizeof(std::uint64_t));
  if (has_kinds) to.raw(run.scalar_kinds, run.scalar_count);
  to.raw(name.data(), name.size());
}

bool uses_pieces_only(Reader from, std::uint64_t count, const std::function<void(std::uint64_t)>& each) {
  std::vector<troupe_tensor_arg> tensors;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto head = from.get<RunHead>();
    tensors.clear();
    if (!from.values(tensors, head.tensor_count)) return false;
    const auto words = (std::uint64_t{head.scalar_count} + head.depends_count) * sizeof(std::uint64_t);
    const std::uint64_t rest = words + (head.has_kinds != 0 ? head.scalar_count : 0) + head.name_bytes;
    if (rest > from.left()) return false;
    (void)from.take(static_cast<std::size_t>(rest));
    if (!from.fine()) return false;
    for (const auto& tensor : tensors) {
      if (tensor.address_space != TROUPE_SPACE_DEVICE && piece_of(tensor) == 0 && tensor.buffer != 0)
        return false;
    }
    each(head.correlation);
  }
  return from.complete();
}

bool RunBatch::read(Reader& from, std::uint32_t count, const Locate& locate) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto head = from.get<RunHead>();
    auto& tensors = tensors_.emplace_back();
    auto& words = words_.emplace_back();
    auto& kinds = kinds_.emplace_back();
    if (!from.values(tensors, head.tensor_count) ||
        !from.values(words, std::uint64_t{head.scalar_count} + head.depends_count) ||
        (head.has_kinds != 0 && !from.values(kinds, head.scalar_count))) {
      return false;
    }
    const auto name = from.take(head.name_bytes);
    if (!from.fine()) return false;
    names_.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
    for (auto& tensor : tensors) {
      const auto piece = piece_of(tensor);
      if (piece == 0) continue;
      set_piece(tensor, 0);
      tensor.buffer = locate(piece, tensor.buffer, tensor.buffer_bytes);
    }
    troupe_run run{};
    run.correlation = head.correlation;
    run.callable = head.callable;
    run.tensor_count = head.tensor_count;
    run.scalar_count = head.scalar_count;
    run.depends_count = head.depends_count;
    run.flags = head.flags;
    run.blocks = head.blocks;
    run.block_dim = head.block_dim;
    run.control_threads = head.control_threads;
    run.chip_runtime = head.chip_runtime;
    runs_.push_back(run);
    graphs_.push_back(head.is_graph != 0);
  }
  // The vectors stay where they are from now on.
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    run.tensors = tensors_[i].data();
    run.scalars = words_[i].data();
    run.depends_on = words_[i].data() + run.scalar_count;
    run.scalar_kinds = kinds_[i].empty() ? nullptr : kinds_[i].data();
    run.name = names_[i].empty() ? nullptr : names_[i].c_str();
  }
  return true;
}

}  // namespace troupe::platform::isolation
