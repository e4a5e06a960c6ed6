#pragma once

#include <vector>

#include "platform/conformance/probe.hpp"

namespace troupe::conformance {

std::vector<Rule> lifecycle_rules();
std::vector<Rule> memory_rules();
std::vector<Rule> callable_rules();
std::vector<Rule> run_rules();
std::vector<Rule> graph_rules();
std::vector<Rule> move_rules();
std::vector<Rule> foreign_rules();
std::vector<Rule> ending_rules();
std::vector<Rule> window_rules();

// Arguments for the suite's kernels.
inline troupe_tensor_arg on_device(std::uint64_t address, std::uint64_t bytes, runtime::Tag tag,
                                   runtime::DType dtype) {
  troupe_tensor_arg arg{};
  arg.buffer = address;
  arg.buffer_bytes = bytes;
  arg.ndims = 1;
  arg.shape[0] = static_cast<std::uint32_t>(bytes / runtime::size_of(dtype));
  arg.strides[0] = 1;
  arg.dtype = static_cast<std::uint8_t>(dtype);
  arg.tag = static_cast<std::uint8_t>(tag);
  arg.address_space = TROUPE_SPACE_DEVICE;
  return arg;
}

/// A run that goes on until it is aborted; `flag` (device memory, 64 bytes) is its argument.
struct Waiting {
  explicit Waiting(Subject& subject)
      : flag(subject.malloc(64)), kernel(subject.kernel("conformance_until_aborted")) {
    const std::int32_t zero[16] = {};
    subject.expect(0, "copy_to_device_ctx", subject.api().copy_to_device_ctx, flag,
                   static_cast<const void*>(zero), std::uint64_t{64});
    args.add(on_device(flag, 64, runtime::Tag::in, runtime::DType::i32));
  }
  troupe_run run(std::uint64_t correlation) const { return args.run(correlation, kernel); }
  std::uint64_t flag, kernel;
  platform::RunArgs args;
};

}  // namespace troupe::conformance
