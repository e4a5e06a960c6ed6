// A device of the test's own with kernels that compute, and a context of it.
#pragma once

#include <cstring>
#include <utility>

#include "context.hpp"

namespace troupe::test {

/// A device with kernels that compute, and what it must say at the end.
struct Device {
  Device() {
    fake_device() = &fake;
    // x += s
    fake.add("add", [](troupe_device_block& block, std::uint32_t) {
      float by = 0;
      std::memcpy(&by, &block.words[1], sizeof by);
      for (std::uint64_t i = 0; i < block.descriptors[0].shapes[0]; ++i) {
        tensor<float>(block, 0)[i * block.descriptors[0].strides[0]] += by;
      }
      return true;
    });
    // y = 2 x
    fake.add("twice", [](troupe_device_block& block, std::uint32_t) {
      for (std::uint64_t i = 0; i < block.descriptors[1].shapes[0]; ++i) {
        tensor<float>(block, 1)[i] = 2 * tensor<float>(block, 0)[i];
      }
      return true;
    });
    // z = x + y
    fake.add("sum", [](troupe_device_block& block, std::uint32_t) {
      for (std::uint64_t i = 0; i < block.descriptors[2].shapes[0]; ++i) {
        tensor<float>(block, 2)[i] = tensor<float>(block, 0)[i] + tensor<float>(block, 1)[i];
      }
      return true;
    });
  }
  ~Device() {
    CHECK(fake.left() == "");
    CHECK(fake.complaint() == "");
    fake_device() = nullptr;
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  FakeDevice fake;
};

struct Ready : Context {
  Ready() { REQUIRE_MESSAGE(set_device(handle, 0) == 0, last_error()); }
  /// 16 floats on the device.
  std::uint64_t floats(float value) {
    std::uint64_t address = 0;
    REQUIRE(device_malloc_ctx(handle, 64, &address) == 0);
    const std::vector<float> values(16, value);
    REQUIRE(copy_to_device_ctx(handle, address, values.data(), 64) == 0);
    return address;
  }
  std::vector<float> back(std::uint64_t address) {
    std::vector<float> values(16);
    REQUIRE(copy_from_device_ctx(handle, values.data(), address, 64) == 0);
    return values;
  }
};

inline platform::RunArgs on_device(std::initializer_list<std::pair<std::uint64_t, runtime::Tag>> tensors) {
  platform::RunArgs args;
  for (const auto& [address, tag] : tensors) {
    args.add_device({runtime::Tensor::host(static_cast<float*>(nullptr) + 16, {16}), tag}, address);
  }
  return args;
}

inline std::vector<float> all(float value) { return std::vector<float>(16, value); }

}  // namespace troupe::test
