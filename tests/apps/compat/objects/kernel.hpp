// What kernels of the other system see of their tensors, in our words.
#pragma once

#include <cstdint>
#include <cstring>

struct Descriptor {
  std::uint64_t address, size, owner, start_offset;
  std::int32_t version;
  std::uint32_t ndims;
  std::uint8_t dtype, manual_dep, contiguous, space;
  std::uint32_t shapes[5];
  std::uint64_t extent;
  std::uint32_t strides[5];

  std::uint64_t elements() const {
    std::uint64_t product = 1;
    for (std::uint32_t i = 0; i < ndims; ++i) product *= shapes[i];
    return product;
  }
  /// Element number `i` in row-major order, wherever that lies.
  template <class T>
  T& at(std::uint64_t i) const {
    std::uint64_t place = start_offset;
    for (std::uint32_t dim = ndims; dim-- > 0; i /= shapes[dim]) place += i % shapes[dim] * strides[dim];
    return reinterpret_cast<T*>(address)[place];
  }
};

inline const Descriptor& tensor(const std::int64_t* args, int i) {
  return *reinterpret_cast<const Descriptor*>(args[i]);
}
template <class T>
T scalar(const std::int64_t* args, int i) {
  T value;
  std::memcpy(&value, &args[i], sizeof value);
  return value;
}
