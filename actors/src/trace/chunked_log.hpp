#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace troupe::actors {

/// An append-only log that any number of threads write without locks: a slot is claimed by counting up, its
/// chunk is made by the first writer that needs it, and a flag per slot tells readers that it is complete.
template <class T>
class ChunkedLog {
 public:
  explicit ChunkedLog(std::size_t capacity) : chunks_((capacity + chunk_size - 1) / chunk_size) {}
  ~ChunkedLog() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }
  ChunkedLog(const ChunkedLog&) = delete;
  ChunkedLog& operator=(const ChunkedLog&) = delete;

  /// False when the log is full or memory is out.
  bool push(const T& value) noexcept {
    // Checked first, so that a full log does not count towards overflow for ever.
    if (next_.load(std::memory_order_relaxed) >= capacity()) return false;
    const std::size_t slot = next_.fetch_add(1, std::memory_order_relaxed);
    if (slot >= capacity()) return false;
    Chunk* chunk = chunk_of(slot);
    if (chunk == nullptr) return false;
    chunk->values[slot % chunk_size] = value;
    chunk->complete[slot % chunk_size].store(true, std::memory_order_release);
    return true;
  }

  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for (const auto& pointer : chunks_) {
      const Chunk* chunk = pointer.load(std::memory_order_acquire);
      if (chunk == nullptr) continue;
      for (std::size_t i = 0; i < chunk_size; ++i) {
        if (chunk->complete[i].load(std::memory_order_acquire)) visit(chunk->values[i]);
      }
    }
  }

 private:
  static constexpr std::size_t chunk_size = 4096;
  struct Chunk {
    std::array<T, chunk_size> values;
    std::array<std::atomic<bool>, chunk_size> complete{};
  };

  std::size_t capacity() const noexcept { return chunks_.size() * chunk_size; }

  Chunk* chunk_of(std::size_t slot) noexcept {
    std::atomic<Chunk*>& place = chunks_[slot / chunk_size];
    Chunk* chunk = place.load(std::memory_order_acquire);
    if (chunk != nullptr) return chunk;
    std::unique_ptr<Chunk> fresh(new (std::nothrow) Chunk);
    if (fresh && place.compare_exchange_strong(chunk, fresh.get(), std::memory_order_acq_rel)) {
      return fresh.release();
    }
    return chunk;
  }

  std::vector<std::atomic<Chunk*>> chunks_;
  std::atomic<std::size_t> next_{0};
};

}  // namespace troupe::actors
