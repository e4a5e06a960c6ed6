#include "plan/bundle.hpp"

#include "tasks.hpp"
#include "troupe/actors/arguments.hpp"

namespace troupe::actors {
namespace {

template <class T>
std::size_t bytes_of(const std::vector<T>& list) {
  return list.capacity() * sizeof(T);
}

}  // namespace

bool has_workspace(const Bundle& bundle) { return bundle.has_workspace; }

Operand Bundle::operand(std::uint32_t tensor, const Arguments& whole) const {
  const auto& view = views[tensor >> tag_bits];
  const auto& layout = layouts[view.layout];
  const auto& of = whole.tensors[view.argument];
  runtime::Shape shape = {0U}, strides = {0U};
  std::array<std::uint64_t, runtime::limits::max_dims> extents{}, steps{};
  for (std::size_t d = 0; d < layout.dims; ++d) {
    extents[d] = layout.shape[d];
    steps[d] = layout.strides[d];
  }
  shape = runtime::Shape::from({extents.data(), layout.dims}).value();
  strides = runtime::Shape::from({steps.data(), layout.dims}).value();
  const auto made =
      runtime::Tensor::create_strided(of.tensor.buffer(), of.tensor.buffer_bytes(),
                                      of.tensor.byte_offset() + view.offset, shape, strides, layout.dtype);
  constexpr auto tags = (std::uint32_t{1} << tag_bits) - 1;
  return {{made.value(), static_cast<runtime::Tag>(tensor & tags)}, of.buffer};
}

std::size_t Bundle::bytes() const {
  auto sum = sizeof(Bundle) + bytes_of(tasks) + bytes_of(tensors) + bytes_of(views) + bytes_of(layouts) +
             bytes_of(scalars) + bytes_of(scalar_kinds) + bytes_of(patches) + bytes_of(producers) +
             bytes_of(code) + bytes_of(names) + bytes_of(options);
  for (const auto& name : names) sum += name.capacity() > 15 ? name.capacity() : 0;
  return sum;
}

}  // namespace troupe::actors
