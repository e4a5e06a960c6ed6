#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "troupe/comm/bootstrap.hpp"

namespace troupe::comm::test {

/// A chip whose memory is host memory, with real windows. Its communicator takes the deadline of the
/// environment variable; `machine` is where its windows come from.
class HostChip : public BootstrapDevice {
 public:
  explicit HostChip(const Environment& machine = Environment::machine()) : machine_(machine) {}

  Result<void> set_device(int) override { return {}; }
  Result<void> copy_to(std::uint64_t to, const void* from, std::size_t bytes) override {
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return {};
  }
  Result<void> copy_from(void* to, std::uint64_t from, std::size_t bytes) override {
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return {};
  }
  Result<std::unique_ptr<BootstrapCommunicator>> communicator(
      const ChipCommBootstrapConfig& config) override {
    return make_bootstrap_communicator(config, CommOptions::from_environment().value(), machine_);
  }

 private:
  const Environment& machine_;
};

/// One rank's config: a buffer "x" of 256 bytes in a window of 64 KiB.
inline ChipBootstrapConfig rank_config(int rank, int ranks, const std::string& job) {
  ChipBootstrapConfig config;
  config.comm =
      ChipCommBootstrapConfig{.rank = rank, .nranks = ranks, .rootinfo_path = job, .window_size = 65536};
  config.buffers = {{.name = "x", .dtype = "float32", .count = 64, .placement = "window", .nbytes = 256}};
  return config;
}

}  // namespace troupe::comm::test
