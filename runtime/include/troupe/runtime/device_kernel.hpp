#pragma once

// What the author of a kernel sees whose one source runs on simulated chips and on devices. On the host this
// is kernel.hpp; for a device compiler (C++ for OpenCL, CUDA) it is the part of it that needs no standard
// library:
//
//   #include <troupe/runtime/device_kernel.hpp>
//   using troupe::runtime::KernelArgs;
//
//   TROUPE_KERNEL(add)(KernelArgs& k) {
//     const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
//     const auto c = k.tensor<float>(2);
//     for (auto i = k.first(); i < c.size(); i += k.step()) c[i] = a[i] + b[i];
//   }
//
// A run has block_num() blocks, a block lanes() lanes, which run the kernel together: what they do to the
// same element they do at the same time. Chips have one lane, devices many, so a kernel shares its elements
// out. What is different on a device: an index outside a tensor and a scalar of another type are not noticed;
// nothing can be thrown, so a kernel says `k.fail("why"); return;`; a wait looks at memory until the run is
// aborted; sync() must be reached by all lanes of a block or by none.
// Nothing here owns anything: tensors and scalars are borrowed from the call and end with it.

#include "troupe/runtime/device_math.hpp"

#if !defined(__OPENCL_CPP_VERSION__) && !defined(__CUDACC__)

#include "troupe/runtime/kernel.hpp"

#else

#include "troupe/runtime/device_block.h"
#include "troupe/runtime/device_words.hpp"

namespace troupe::runtime {

using DeviceSize = troupe_device_u64;

/// Elements of a tensor at their place in the device's memory. An index is not checked.
template <class T>
class TensorView {
 public:
  TROUPE_ON_DEVICE TensorView(TROUPE_IN_MEMORY const troupe_device_tensor* descriptor,
                              TROUPE_IN_MEMORY T* data)
      : data_(data), descriptor_(descriptor), count_(1) {
    for (troupe_device_u32 dim = 0; dim < descriptor->ndims; ++dim) count_ *= descriptor->shapes[dim];
  }
  TROUPE_ON_DEVICE TROUPE_IN_MEMORY T* data() const { return data_; }
  TROUPE_ON_DEVICE DeviceSize dims() const { return descriptor_->ndims; }
  TROUPE_ON_DEVICE DeviceSize extent(DeviceSize dim) const { return descriptor_->shapes[dim]; }
  TROUPE_ON_DEVICE DeviceSize stride(DeviceSize dim) const { return descriptor_->strides[dim]; }
  TROUPE_ON_DEVICE bool is_contiguous() const { return descriptor_->is_contiguous != 0; }
  TROUPE_ON_DEVICE DeviceSize size() const { return count_; }

  /// One index per dimension.
  template <class... Index>
  TROUPE_ON_DEVICE TROUPE_IN_MEMORY T& operator()(Index... index) const {
    const DeviceSize at[] = {static_cast<DeviceSize>(index)...};
    DeviceSize offset = 0;
    for (unsigned dim = 0; dim < sizeof...(Index); ++dim) offset += at[dim] * descriptor_->strides[dim];
    return data_[offset];
  }
  /// Of all elements in order; of a tensor without gaps.
  TROUPE_ON_DEVICE TROUPE_IN_MEMORY T& operator[](DeviceSize i) const { return data_[i]; }

 private:
  TROUPE_IN_MEMORY T* data_;
  TROUPE_IN_MEMORY const troupe_device_tensor* descriptor_;
  DeviceSize count_;
};

enum class WaitStatus : int { ready = 0, aborted = 1, peer_lost = 2 };
enum class Compare : unsigned {
  equal = 0,
  not_equal = 1,
  greater = 2,
  greater_equal = 3,
  less = 4,
  less_equal = 5
};

/// The arguments of one kernel call, as one lane sees them.
class KernelArgs {
 public:
  TROUPE_ON_DEVICE explicit KernelArgs(TROUPE_IN_MEMORY troupe_device_block* block) : block_(block) {}

  TROUPE_ON_DEVICE DeviceSize tensor_count() const { return block_->tensors; }
  TROUPE_ON_DEVICE DeviceSize scalar_count() const { return block_->scalars; }
  template <class T>
  TROUPE_ON_DEVICE TensorView<T> tensor(DeviceSize i) const {
    TROUPE_IN_MEMORY const troupe_device_tensor* descriptor = &block_->descriptors[i];
    return {descriptor, (TROUPE_IN_MEMORY T*)(descriptor->address + descriptor->start_offset * sizeof(T))};
  }
  template <class T>
  TROUPE_ON_DEVICE T scalar(DeviceSize i) const {
    union {
      long word;
      T value;
    } bits;
    bits.word = block_->words[block_->tensors + i];
    return bits.value;
  }

  TROUPE_ON_DEVICE int block_idx() const { return device::block_idx(); }
  TROUPE_ON_DEVICE int block_num() const { return device::block_num(); }
  TROUPE_ON_DEVICE int lane() const { return device::lane(); }
  TROUPE_ON_DEVICE int lanes() const { return device::lanes(); }
  /// All lanes of the block have come here, and see what the others wrote before.
  TROUPE_ON_DEVICE void sync() const { device::sync(); }
  /// The elements of this lane, when all blocks share them out.
  TROUPE_ON_DEVICE DeviceSize first() const {
    return static_cast<DeviceSize>(block_idx()) * static_cast<DeviceSize>(lanes()) +
           static_cast<DeviceSize>(lane());
  }
  TROUPE_ON_DEVICE DeviceSize step() const {
    return static_cast<DeviceSize>(block_num()) * static_cast<DeviceSize>(lanes());
  }

  template <class T>
  TROUPE_ON_DEVICE WaitStatus wait_until(const TROUPE_IN_MEMORY T& flag, Compare compare, T value) {
    while (!holds(device::load(&flag), compare, value)) {
      if (aborted()) return WaitStatus::aborted;
    }
    return WaitStatus::ready;
  }
  template <class T>
  TROUPE_ON_DEVICE void notify(TROUPE_IN_MEMORY T& flag, T value) {
    device::store(&flag, value);
  }
  template <class T>
  TROUPE_ON_DEVICE void notify_add(TROUPE_IN_MEMORY T& flag, T value) {
    device::add(&flag, value);
  }

  TROUPE_ON_DEVICE bool aborted() const {
    if (device::peek(&block_->abort) == 0) return false;
    device::exchange_if(&block_->verdict, TROUPE_VERDICT_NONE, TROUPE_VERDICT_ABORTED);
    return true;
  }
  TROUPE_ON_DEVICE void fail(TROUPE_TEXT const char* text) const {
    if (!device::exchange_if(&block_->verdict, TROUPE_VERDICT_NONE, TROUPE_VERDICT_FAILED)) return;
    for (int i = 0; i + 1 < TROUPE_BLOCK_TEXT && text[i] != '\0'; ++i) block_->text[i] = text[i];
  }

  /// For the entry of a kernel: whether it is to be entered. One lane asks for all. What it looks at was
  /// written before the device began, or may be seen at any time, so no order is needed, which takes long
  /// where the block lies in memory of the host.
  TROUPE_ON_DEVICE unsigned begin() const {
    device::poke(&block_->started, 1U);
    const troupe_device_u32 count = device::peek(&block_->producers);
    if (device::peek(&block_->abort) != 0) return aborted() ? 0 : 1;
    for (troupe_device_u32 i = 0; i < count; ++i) {
      TROUPE_IN_MEMORY auto* before =
          (TROUPE_IN_MEMORY troupe_device_block*)device::peek(&block_->producer[i]);
      if ((device::peek(&before->verdict) | device::peek(&before->abort)) == TROUPE_VERDICT_NONE) continue;
      device::exchange_if(&block_->verdict, TROUPE_VERDICT_NONE, TROUPE_VERDICT_SKIPPED);
      return 0;
    }
    return 1;
  }

 private:
  template <class T>
  TROUPE_ON_DEVICE static bool holds(T seen, Compare compare, T value) {
    switch (compare) {
      case Compare::equal:
        return seen == value;
      case Compare::not_equal:
        return seen != value;
      case Compare::greater:
        return seen > value;
      case Compare::greater_equal:
        return seen >= value;
      case Compare::less:
        return seen < value;
      default:
        return seen <= value;
    }
  }

  TROUPE_IN_MEMORY troupe_device_block* block_;
};

}  // namespace troupe::runtime

#define TROUPE_KERNEL(callable)                                                        \
  TROUPE_ON_DEVICE static void troupe_body_##callable(::troupe::runtime::KernelArgs&); \
  TROUPE_DEVICE_ENTRY(troupe_kernel_##callable) {                                      \
    TROUPE_SHARED_BY_LANES unsigned enter;                                             \
    ::troupe::runtime::KernelArgs args(address);                                       \
    if (args.lane() == 0) enter = args.begin();                                        \
    args.sync(); /* a word that lanes share has no initial value */                    \
    if (enter != 0) troupe_body_##callable(args);                                      \
  }                                                                                    \
  TROUPE_ON_DEVICE static void troupe_body_##callable
#define TROUPE_WAITING_KERNEL(callable) TROUPE_KERNEL(callable)
#define TROUPE_MODULE(name) static_assert(true, "of the host")

#endif
