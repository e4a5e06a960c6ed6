// Each tensor of 1 MiB or more had a file descriptor of its own, so a thousand of them met `ulimit -n` as
// "out_of_memory".
//
// Promised now: descriptors grow with GiB, not with tensors; what is freed still goes back to the system.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "data/host_memory.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd"), end;
  return static_cast<std::size_t>(std::distance(all, end));
}

/// Shared memory of this process that has memory behind it.
std::uint64_t shared_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "RssShmem:" && status >> kib) return kib;
  }
  return 0;
}

constexpr std::uint32_t mib = 1U << 20U;

}  // namespace

TEST_CASE("a hundred tensors of a MiB need a handful of descriptors, and give their memory back") {
  const auto memory = std::make_shared<HostMemory>();
  const auto before = descriptors();
  const auto used = shared_kib();
  std::vector<Tensor> tensors;
  for (int i = 0; i < 100; ++i) tensors.push_back(memory->tensor({mib}, runtime::DType::u8).value());
  CHECK(descriptors() <= before + 5);
  CHECK(shared_kib() >= used + 100 * 1024);
  // Every second one goes: its memory too, though its neighbours stay.
  for (std::size_t i = 0; i < tensors.size(); i += 2) tensors[i] = {};
  CHECK(shared_kib() < used + 60 * 1024);
  tensors.clear();
  CHECK(shared_kib() < used + 1024);
  CHECK(memory->slabs() <= 1);
}

TEST_CASE("the memory of many small tensors goes back too, once they lie together") {
  const auto memory = std::make_shared<HostMemory>();
  const auto used = shared_kib();
  std::vector<Tensor> tensors;
  for (int i = 0; i < 1000; ++i) tensors.push_back(memory->tensor({16U << 10U}, runtime::DType::u8).value());
  CHECK(shared_kib() >= used + 1000 * 16);
  tensors.clear();
  CHECK(shared_kib() < used + 4 * 1024);
}

TEST_CASE("a tensor where another one was is zeroed all the same") {
  const auto memory = std::make_shared<HostMemory>();
  for (const std::uint32_t bytes : {64U, 4000U, mib, 3 * mib + 64}) {
    for (int round = 0; round < 3; ++round) {
      auto x = memory->tensor({bytes}, runtime::DType::u8).value();
      for (auto& byte : x.host<std::uint8_t>()) {
        if (byte != 0) REQUIRE(byte == 0);
        byte = 0xFF;
      }
    }
  }
}
