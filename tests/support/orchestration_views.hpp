// For test objects alone: the rest of what the other system's headers do with tensors, and the container that
// brings room for its dependencies along. In our words, from its binary interface.
#pragma once

#include <utility>

#include "support/orchestration_object.hpp"

namespace object {

inline Tensor permute(const Tensor& tensor, const std::uint32_t* order) {
  Tensor turned;
  std::memcpy(&turned, &tensor, 64);
  for (std::uint32_t d = 0; d < tensor.ndims; ++d) {
    turned.shape[d] = tensor.shape[order[d]];
    turned.strides[d] = tensor.strides[order[d]];
  }
  turned.measure();
  return turned;
}
inline Tensor transpose(const Tensor& tensor, std::uint32_t x, std::uint32_t y) {
  std::uint32_t order[5] = {0, 1, 2, 3, 4};
  std::swap(order[x], order[y]);
  return permute(tensor, order);
}
/// Every step-th of dimension `dim`.
inline Tensor slice(const Tensor& tensor, std::uint32_t dim, std::uint32_t begin, std::uint32_t end,
                    std::uint32_t step) {
  Tensor part;
  std::memcpy(&part, &tensor, 64);
  std::memcpy(part.strides, tensor.strides, sizeof part.strides);
  part.start += std::uint64_t{begin} * tensor.strides[dim];
  part.shape[dim] = (end - begin + step - 1) / step;
  part.strides[dim] = tensor.strides[dim] * step;
  part.measure();
  return part;
}
inline Tensor reshape(const Tensor& tensor, const std::uint32_t* shapes, std::uint32_t ndims) {
  if (tensor.contiguous == 0) throw std::runtime_error("only what is contiguous has another shape");
  Tensor other;
  std::memcpy(&other, &tensor, 64);
  other.ndims = ndims;
  std::memcpy(other.shape, shapes, ndims * sizeof *shapes);
  other.row_major();
  other.measure();
  return other;
}
/// As the other system copies one: the strides of what is contiguous are made again.
inline Tensor copy_of(const Tensor& tensor) {
  Tensor copy;
  std::memcpy(&copy, &tensor, 64);
  if (tensor.contiguous != 0 && tensor.start == 0) {
    copy.row_major();
    copy.measure();
  } else {
    std::memcpy(copy.strides, tensor.strides, sizeof copy.strides);
    copy.extent = tensor.extent;
  }
  return copy;
}

template <std::size_t N = 16>
struct TaskArgumentsWithDependencies : TaskArguments {
  std::uint64_t own[N];
#ifndef OBJECT_HOST_GRAPH
  std::uint8_t kinds[N];
#endif
  std::uint32_t count = 0;

  TaskArgumentsWithDependencies& add(std::uint64_t task, std::uint8_t kind = waits | retains) {
    if (count == N) return error("too many dependencies"), *this;
#ifndef OBJECT_HOST_GRAPH
    kinds[count] = kind;
#else
    static_cast<void>(kind);
#endif
    own[count++] = task;
    return *this;
  }
  const TaskArguments& ready() {
    after(own, count);
#ifndef OBJECT_HOST_GRAPH
    dependency_kinds = kinds;
#endif
    return *this;
  }
};
#ifndef OBJECT_HOST_GRAPH
static_assert(sizeof(TaskArgumentsWithDependencies<>) == 936, "");
#endif

}  // namespace object
