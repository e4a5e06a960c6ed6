#pragma once

// Arguments of one run in the form of the device ABI. RunArgs owns the lists that its troupe_run points to;
// the tensors' memory belongs to the caller and has to stay until the run's completion. One user at a time.
// Nothing is checked and nothing fails here: the platform refuses what does not fit.

#include <cstdint>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform {

/// A tensor as the device ABI carries it: a view into a buffer, by value. Copies no element and checks
/// nothing; the platform that executes the run refuses a view that does not fit its buffer. `buffer_address`
/// is where the tensor's buffer lies in `space`; for tensors in this process's memory see the overload.
[[nodiscard]] inline troupe_tensor_arg tensor_arg(const runtime::Tensor& tensor, runtime::Tag tag,
                                                  std::uint64_t buffer_address,
                                                  troupe_address_space space) noexcept {
  troupe_tensor_arg arg{};
  arg.buffer = buffer_address;  // of the buffer, so that views of one buffer are seen to overlap
  arg.buffer_bytes = tensor.buffer_bytes();
  const auto element = tensor.element_bytes();
  arg.start_offset = element != 0 ? tensor.byte_offset() / element : 0;
  arg.ndims = static_cast<std::uint32_t>(tensor.dims());
  for (std::size_t i = 0; i < tensor.dims(); ++i) {
    arg.shape[i] = tensor.extent(i);
    arg.strides[i] = tensor.stride(i);
  }
  arg.dtype = static_cast<std::uint8_t>(tensor.dtype());
  arg.tag = static_cast<std::uint8_t>(tag);
  arg.address_space = static_cast<std::uint8_t>(space);
  return arg;
}

/// The same for a tensor of arena 0, whose buffer offset is a host address: it is copied to the chip before
/// the run and, where the tag writes, back after it.
[[nodiscard]] inline troupe_tensor_arg tensor_arg(const runtime::Tensor& tensor, runtime::Tag tag) noexcept {
  return tensor_arg(tensor, tag, tensor.buffer().offset, TROUPE_SPACE_HOST);
}

/// The arguments of one run while it is put together; owns the lists that `troupe_run` points to. Valid as
/// long as it lives and is not added to. Nothing is checked here: the platform does.
///
///   auto args = RunArgs::of(in(a), out(c), scalar(2.0f));
///   args.after(41);                                     // not before run 41 has ended well
///   auto run = args.run(42, callable);
///   context.launch({&run, 1});                          // the runs are copied, the tensors' bytes are not
class RunArgs {
 public:
  /// A tensor in this process's memory, which has to stay until the run's completion.
  RunArgs& add(const runtime::TensorArg& arg) {
    tensors_.push_back(tensor_arg(arg.tensor, arg.tag));
    return *this;
  }
  /// Scalars keep their order among themselves; kernels see them behind all tensors.
  RunArgs& add(const runtime::ScalarArg& arg) {
    scalars_.push_back(arg.word);
    kinds_.push_back(static_cast<std::uint8_t>(arg.kind));
    return *this;
  }
  /// One that was made elsewhere, as it is.
  RunArgs& add(const troupe_tensor_arg& arg) {
    tensors_.push_back(arg);
    return *this;
  }
  /// A tensor in device memory or a window, whose buffer begins at `address`.
  RunArgs& add_device(const runtime::TensorArg& arg, std::uint64_t address) {
    tensors_.push_back(tensor_arg(arg.tensor, arg.tag, address, TROUPE_SPACE_DEVICE));
    return *this;
  }
  /// The run starts when that earlier one has ended; when it fails, this one is poisoned.
  RunArgs& after(std::uint64_t correlation) {
    depends_on_.push_back(correlation);
    return *this;
  }

  /// Everything at once, in the order of the callable's parameters.
  template <class... Args>
  [[nodiscard]] static RunArgs of(const Args&... args) {
    RunArgs result;
    (result.add(args), ...);
    return result;
  }

  /// The run, with the platform's defaults; blocks, flags and the other config fields may be changed in it.
  /// `correlation` is its name in completions and rises from run to run; run_runtime ignores it.
  [[nodiscard]] troupe_run run(std::uint64_t correlation, std::uint64_t callable) const noexcept {
    troupe_run run{};
    run.correlation = correlation;
    run.callable = callable;
    run.tensors = tensors_.data();
    run.tensor_count = static_cast<std::uint32_t>(tensors_.size());
    run.scalars = scalars_.data();
    run.scalar_count = static_cast<std::uint32_t>(scalars_.size());
    run.scalar_kinds = kinds_.data();
    run.depends_on = depends_on_.data();
    run.depends_count = static_cast<std::uint32_t>(depends_on_.size());
    return run;
  }

 private:
  std::vector<troupe_tensor_arg> tensors_;
  std::vector<std::uint64_t> scalars_, depends_on_;
  std::vector<std::uint8_t> kinds_;  ///< of the scalars
};

// The C names and the runtime floor's enums are one set of numbers.
static_assert(TROUPE_TAG_IN == static_cast<int>(runtime::Tag::in) &&
              TROUPE_TAG_OUT == static_cast<int>(runtime::Tag::out) &&
              TROUPE_TAG_INOUT == static_cast<int>(runtime::Tag::inout) &&
              TROUPE_TAG_OUT_EXISTING == static_cast<int>(runtime::Tag::out_existing) &&
              TROUPE_TAG_NO_DEP == static_cast<int>(runtime::Tag::no_dep));

}  // namespace troupe::platform
