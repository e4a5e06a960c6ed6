#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/domain.hpp"
#include "troupe/comm/one_sided.hpp"
#include "troupe/runtime/comm_context.hpp"

namespace troupe::comm::test {

/// A name that no other process uses at the same time.
inline std::string meeting(std::string_view tag) {
  return std::string(tag) + "-" + std::to_string(::getpid());
}

/// Runs `body(rank)` on one thread per rank. Bodies check on their own thread; doctest's asserts are
/// thread-safe.
inline void run_ranks(std::uint32_t ranks, const std::function<void(std::uint32_t)>& body) {
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) threads.emplace_back([&body, rank] { body(rank); });
  for (std::thread& thread : threads) thread.join();
}

/// Long enough for any machine; reaching it fails the test, it never delays one.
inline constexpr std::chrono::seconds generous{100};

inline CommOptions patient() { return {.timeout = generous, .allow_several = false}; }

inline std::uint64_t open_descriptors() {
  std::uint64_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

inline std::uint64_t mapped_windows() {
  std::ifstream maps("/proc/self/maps");
  std::uint64_t count = 0;
  for (std::string line; std::getline(maps, line);)
    if (line.find("memfd:troupe-window") != std::string::npos) ++count;
  return count;
}

inline std::uint64_t named_shared_memory() {
  std::uint64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (entry.path().filename().string().find("troupe-window") != std::string::npos) ++count;
  return count;
}

/// Put one into a test: at its end as many descriptors, mappings and named segments exist as before.
class NoLeaks {
 public:
  NoLeaks() = default;
  NoLeaks(const NoLeaks&) = delete;
  ~NoLeaks() {
    CHECK(open_descriptors() == descriptors_);
    CHECK(mapped_windows() == windows_);
    CHECK(named_shared_memory() == 0);
  }

 private:
  std::uint64_t descriptors_ = open_descriptors();
  std::uint64_t windows_ = mapped_windows();
};

inline std::span<const std::byte> bytes_of(const std::vector<std::uint8_t>& data) {
  return std::as_bytes(std::span(data));
}

/// Bytes that tell who wrote them and where.
inline std::vector<std::uint8_t> pattern(std::uint32_t rank, std::size_t size) {
  std::vector<std::uint8_t> data(size);
  for (std::size_t i = 0; i < size; ++i)
    data[i] = static_cast<std::uint8_t>(rank * 37 + i * 11 + i / 251 + 1);
  return data;
}

/// A committed domain of `ranks` members in this process, made split-phase.
inline std::vector<DomainMember> make_domain(std::uint32_t ranks, std::uint64_t bytes,
                                             std::uint64_t generation = 1,
                                             const Environment& environment = Environment::machine()) {
  const DomainId id = DomainId::fresh().value();
  std::vector<DomainMember> members;
  std::vector<WindowBlob> blobs;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    members.push_back(
        DomainMember::create(
            {.domain = id, .generation = generation, .rank = rank, .ranks = ranks, .bytes = bytes},
            environment)
            .value());
    blobs.push_back(members.back().blob().value());
  }
  for (DomainMember& member : members)
    for (const WindowBlob& blob : blobs) member.import(blob).value();
  for (DomainMember& member : members) member.commit().value();
  return members;
}

/// Everybody tears down together.
inline void end_domain(std::vector<DomainMember>& members) {
  for (DomainMember& member : members) member.depart();
  for (DomainMember& member : members) member.release();
}

}  // namespace troupe::comm::test
