#pragma once

// A team of threads over plain memory: what the algorithms need and nothing of domains. Signals park on
// C++20 atomic waits; `stop` ends every wait with a status of the test's choice.

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "collective/team.hpp"

namespace troupe::comm::test {

class ThreadTeam {
 public:
  ThreadTeam(std::uint32_t ranks, std::size_t window_bytes) : bytes_(window_bytes) {
    for (std::uint32_t r = 0; r < ranks; ++r) {
      void* window = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      windows_.push_back(reinterpret_cast<std::uint64_t>(window));
    }
  }
  ~ThreadTeam() {
    for (const std::uint64_t window : windows_) ::munmap(reinterpret_cast<void*>(window), bytes_);
  }
  ThreadTeam(const ThreadTeam&) = delete;

  class Signals {
   public:
    Signals(ThreadTeam& team, std::uint32_t rank) : team_(&team), rank_(rank) {}

    int notify(std::uint32_t rank, std::uint64_t offset, std::uint64_t value) {
      auto word = team_->word(rank, offset);
      word.store(value, std::memory_order_release);
      word.notify_all();
      return collective::ok;
    }
    int wait_at_least(std::uint64_t offset, std::uint64_t value) {
      auto word = team_->word(rank_, offset);
      for (;;) {
        const std::uint64_t seen = word.load(std::memory_order_acquire);
        if (seen >= value) return collective::ok;
        if (const int status = team_->stopped_.load(std::memory_order_acquire); status != 0) return status;
        word.wait(seen, std::memory_order_acquire);
      }
    }

   private:
    ThreadTeam* team_;
    std::uint32_t rank_;
  };
  using Team = collective::Team<Signals>;

  std::uint32_t ranks() const { return static_cast<std::uint32_t>(windows_.size()); }
  std::byte* window(std::uint32_t rank) const { return reinterpret_cast<std::byte*>(windows_[rank]); }
  std::uint64_t base(std::uint32_t rank) const { return windows_[rank]; }

  /// Runs `body(team, rank)` on a thread per rank and joins them.
  void run(std::uint64_t workspace_bytes, const std::function<void(Team&, std::uint32_t)>& body) {
    std::vector<std::thread> threads;
    for (std::uint32_t r = 0; r < ranks(); ++r) {
      threads.emplace_back([&, r] {
        Signals signals(*this, r);
        Team team(signals, r, ranks(), windows_.data(), 0, workspace_bytes);
        body(team, r);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  std::atomic_ref<std::uint64_t> word(std::uint32_t rank, std::uint64_t offset) const {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(windows_[rank] + offset));
  }

  std::size_t bytes_;
  std::vector<std::uint64_t> windows_;
  std::atomic<int> stopped_{0};
};

}  // namespace troupe::comm::test
