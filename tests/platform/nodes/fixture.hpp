#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "platform/isolated/fixture.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/platform/nodes.hpp"

namespace troupe::test {

/// A node on a socket of its own, without certificates.
class TestNode {
 public:
  explicit TestNode(int chips = 1, std::chrono::milliseconds silence = std::chrono::seconds(20),
                    std::function<void(const std::string&)> log = {})
      : silence_(silence), chips_(chips), log_(std::move(log)) {
    start();
  }
  void start() {
    platform::NodeOptions options;
    options.listen = address();
    options.chips = chips_;
    options.platform = built("lib/libtroupe_a2a3sim.so");
    options.modules = {built("tests/platform/isolated/isolated_kernels.so")};
    options.silence = silence_;
    options.log = log_;
    node = platform::NodeServer::start(std::move(options)).value();
  }
  void end() { node.reset(); }

  std::string address() const { return "unix:" + folder_.path().string() + "/socket"; }
  /// By what they are reached.
  Result<platform::DeviceApi> chip(int number = 0, const platform::PodNumber& pod = {1, 2},
                                   const std::string& address = {}) const {
    platform::RemoteChip chip;
    chip.node.address = address.empty() ? this->address() : address;
    chip.node.silence = silence_;
    chip.chip = number;
    chip.pod = pod;
    chip.where = "test/chip" + std::to_string(number);
    return platform::remote(std::move(chip));
  }

  std::unique_ptr<platform::NodeServer> node;

 private:
  const std::chrono::milliseconds silence_;
  const int chips_;
  const std::function<void(const std::string&)> log_;
  TemporaryFolder folder_;
};

}  // namespace troupe::test
