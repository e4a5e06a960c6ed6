#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "troupe/runtime/tensor.hpp"

namespace {

using namespace troupe::runtime;

Tensor matrix(const Shape& shape, DType dtype = DType::f32) {
  return Tensor::create({1, 1, 0}, 1 << 16, 0, shape, dtype).value();
}

Errc code_of(const troupe::Result<Tensor>& result) {
  return result.has_value() ? Errc{} : static_cast<Errc>(result.error().code().value);
}

TEST_CASE("rows, slices and views select boxes of the same buffer") {
  const Tensor a = matrix({8, 16});
  CHECK(a.rows(2, 5).shape() == Shape(3, 16));
  CHECK(a.rows(2, 5).byte_offset() == 2 * 16 * 4);
  CHECK(a.slice(1, 4, 8).shape() == Shape(8, 4));
  CHECK_FALSE(a.slice(1, 4, 8).is_contiguous());
  CHECK(a.slice(1, 4, 8).byte_extent() == (7 * 16 + 4) * 4);
  CHECK(a.view({2, 4}, {3, 4}) == a.rows(2, 5).slice(1, 4, 8));
  CHECK(a.rows(2, 5).rows(1, 2) == a.rows(3, 4));
}

TEST_CASE("slices and views outside their tensor are refused by name") {
  const Tensor a = matrix({8, 16});
  CHECK(code_of(a.try_slice(0, 3, 9)) == Errc::out_of_range);
  CHECK(code_of(a.try_slice(0, 5, 3)) == Errc::out_of_range);
  CHECK(code_of(a.try_slice(2, 0, 1)) == Errc::out_of_range);
  CHECK(code_of(a.try_view({0}, {4})) == Errc::invalid_shape);
  CHECK(code_of(a.try_view({0, 10}, {8, 7})) == Errc::out_of_range);
  CHECK(code_of(a.try_view({0, ~0ULL}, {8, 2})) == Errc::out_of_range);
  CHECK(code_of(Tensor().try_slice(0, 0, 0)) == Errc::out_of_range);
  CHECK(
      std::string(a.try_slice(1, 4, 20).error().what()).find("slice [4, 20) of dimension 1 of f32[8, 16]") ==
      0);
  CHECK_THROWS_AS((void)a.rows(0, 9), troupe::Error);
}

TEST_CASE("reshape keeps the offset of a view") {
  const Tensor part = matrix({8, 16}).rows(4, 8);
  const Tensor flat = part.reshape({64});
  CHECK(flat.byte_offset() == part.byte_offset());
  CHECK(flat.byte_offset() == 256);
  CHECK(flat.reshape({2, 2, 16}).byte_offset() == 256);
}

TEST_CASE("reshape works wherever one stride per dimension can say it, and refuses elsewhere") {
  const Tensor a = matrix({8, 16});
  CHECK(a.slice(1, 0, 8).reshape({8, 2, 4}).strides() == Shape(16, 4, 1));
  CHECK(a.slice(1, 0, 8).reshape({2, 4, 8}).strides() == Shape(64, 16, 1));
  CHECK(a.slice(1, 0, 1).reshape({8}).strides() == Shape(16));
  CHECK(code_of(a.slice(1, 0, 8).try_reshape({64})) == Errc::not_contiguous);
  CHECK(code_of(a.transpose().try_reshape({128})) == Errc::not_contiguous);
  CHECK(code_of(a.try_reshape({127})) == Errc::invalid_shape);
  CHECK(code_of(a.try_reshape({})) == Errc::invalid_shape);
  CHECK(code_of(a.try_reshape({1ULL << 32U, 1ULL << 32U, 2})) == Errc::size_overflow);
  CHECK(code_of(Tensor().try_reshape({1})) == Errc::invalid_shape);
}

TEST_CASE("transpose permutes extents and strides") {
  const Tensor a = matrix({2, 3, 4});
  CHECK(a.transpose().shape() == Shape(4, 3, 2));
  CHECK(a.transpose().strides() == Shape(1, 4, 12));
  CHECK(a.transpose({1, 0, 2}).shape() == Shape(3, 2, 4));
  CHECK(a.transpose().transpose() == a);
  CHECK(code_of(a.try_transpose({0, 1})) == Errc::invalid_args);
  CHECK(code_of(a.try_transpose({0, 0, 1})) == Errc::invalid_args);
  CHECK(code_of(a.try_transpose({0, 1, 3})) == Errc::invalid_args);
  CHECK(code_of(a.try_transpose({0, 1, -1})) == Errc::invalid_args);
}

// The oracle: a tensor is the list of the byte offsets of its elements, in order.
using Offsets = std::vector<std::uint64_t>;

Offsets offsets_of(const Tensor& tensor) {
  Offsets result;
  std::vector<std::uint64_t> index(tensor.dims(), 0);
  for (std::uint64_t i = 0; i < tensor.elements(); ++i) {
    std::uint64_t offset = 0;
    for (std::size_t dim = 0; dim < tensor.dims(); ++dim) offset += index[dim] * tensor.stride(dim);
    result.push_back(tensor.byte_offset() + offset * tensor.element_bytes());
    for (std::size_t dim = tensor.dims(); dim-- > 0;) {
      if (++index[dim] < tensor.extent(dim)) break;
      index[dim] = 0;
    }
  }
  return result;
}

/// Index i of a list under `shape`, for a given multi-index walk.
template <class Visit>
void walk(const std::vector<std::uint64_t>& shape, Visit visit) {
  std::uint64_t count = 1;
  for (const auto extent : shape) count *= extent;
  std::vector<std::uint64_t> index(shape.size(), 0);
  for (std::uint64_t i = 0; i < count; ++i) {
    visit(index);
    for (std::size_t dim = shape.size(); dim-- > 0;) {
      if (++index[dim] < shape[dim]) break;
      index[dim] = 0;
    }
  }
}

std::uint64_t flat_index(const std::vector<std::uint64_t>& index, const std::vector<std::uint64_t>& shape) {
  std::uint64_t flat = 0;
  for (std::size_t dim = 0; dim < shape.size(); ++dim) flat = flat * shape[dim] + index[dim];
  return flat;
}

/// Whether one stride per dimension can describe these offsets under `shape`.
bool expressible(const Offsets& offsets, const std::vector<std::uint64_t>& shape) {
  if (offsets.empty()) return true;
  std::vector<std::int64_t> strides(shape.size(), 0);
  for (std::size_t dim = 0; dim < shape.size(); ++dim) {
    if (shape[dim] < 2) continue;
    std::vector<std::uint64_t> unit(shape.size(), 0);
    unit[dim] = 1;
    strides[dim] = std::int64_t(offsets[flat_index(unit, shape)]) - std::int64_t(offsets[0]);
    if (strides[dim] < 0) return false;
  }
  bool same = true;
  walk(shape, [&](const auto& index) {
    std::int64_t expected = std::int64_t(offsets[0]);
    for (std::size_t dim = 0; dim < shape.size(); ++dim) expected += std::int64_t(index[dim]) * strides[dim];
    same = same && expected == std::int64_t(offsets[flat_index(index, shape)]);
  });
  return same;
}

std::vector<std::uint64_t> list(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// A random way to write `count` as a product of at most five factors.
Shape random_shape(std::uint64_t count, std::mt19937_64& random) {
  std::vector<std::uint64_t> extents;
  while (extents.size() < 4 && random() % 4 != 0) {
    std::vector<std::uint64_t> divisors;
    for (std::uint64_t d = 1; d <= count; ++d) {
      if (count % d == 0) divisors.push_back(d);
    }
    if (divisors.empty()) break;
    extents.push_back(divisors[random() % divisors.size()]);
    count /= extents.back();
  }
  extents.push_back(count);
  return Shape::from(extents).value();
}

void one_random_chain(std::mt19937_64& random) {
  const DType dtype = random() % 2 == 0 ? DType::f32 : DType::u8;
  Shape start = random_shape(std::uint64_t{2} << random() % 7U, random);
  Tensor tensor = Tensor::create({1, 1, 0}, 1 << 16, 64, start, dtype).value();
  for (int step = 0; step < 6; ++step) {
    const Offsets before = offsets_of(tensor);
    const auto old_shape = list(tensor.shape());
    const std::size_t dims = tensor.dims();
    Offsets expected;
    Tensor next;
    switch (random() % 4) {
      case 0: {
        const std::size_t dim = random() % dims;
        const std::uint64_t begin = random() % (old_shape[dim] + 1);
        const std::uint64_t end = begin + random() % (old_shape[dim] - begin + 1);
        if (begin == end && random() % 8 != 0) continue;  // few empty ones
        next = tensor.slice(dim, begin, end);
        walk(old_shape, [&](const auto& index) {
          if (index[dim] >= begin && index[dim] < end)
            expected.push_back(before[flat_index(index, old_shape)]);
        });
        break;
      }
      case 1: {
        std::vector<std::uint64_t> offsets, extents;
        for (const auto extent : old_shape) {
          offsets.push_back(random() % (extent + 1));
          extents.push_back(random() % (extent - offsets.back() + 1));
          if (extents.back() == 0 && offsets.back() < extent) extents.back() = 1;
        }
        next = tensor.view(Shape::from(offsets).value(), Shape::from(extents).value());
        walk(old_shape, [&](const auto& index) {
          bool inside = true;
          for (std::size_t d = 0; d < dims; ++d)
            inside = inside && index[d] >= offsets[d] && index[d] - offsets[d] < extents[d];
          if (inside) expected.push_back(before[flat_index(index, old_shape)]);
        });
        break;
      }
      case 2: {
        std::vector<std::uint64_t> order;
        for (std::size_t d = 0; d < dims; ++d)
          order.insert(order.begin() + std::ptrdiff_t(random() % (d + 1)), d);
        next = tensor.transpose(Shape::from(order).value());
        std::vector<std::uint64_t> new_shape;
        new_shape.reserve(dims);
        for (const auto from : order) new_shape.push_back(old_shape[from]);
        walk(new_shape, [&](const auto& index) {
          std::vector<std::uint64_t> old_index(dims);
          for (std::size_t d = 0; d < dims; ++d) old_index[order[d]] = index[d];
          expected.push_back(before[flat_index(old_index, old_shape)]);
        });
        break;
      }
      default: {
        if (tensor.empty()) continue;
        const Shape shape = random_shape(tensor.elements(), random);
        const auto reshaped = tensor.try_reshape(shape);
        CHECK(reshaped.has_value() == expressible(before, list(shape)));
        if (!reshaped) continue;
        next = *reshaped;
        expected = before;
      }
    }
    CHECK(Tensor::validate(next).has_value());
    CHECK(offsets_of(next) == expected);
    bool gapless = true;
    for (std::size_t i = 0; i < expected.size(); ++i)
      gapless = gapless && expected[i] == expected[0] + i * next.element_bytes();
    CHECK(next.is_contiguous() == gapless);
    if (!expected.empty()) CHECK(next.byte_extent() >= next.bytes());
    tensor = next;
  }
}

TEST_CASE("random chains of views describe exactly the elements that they should") {
  const std::uint64_t first = troupe::test::first_seed();
  for (std::uint64_t seed = first; seed < first + troupe::test::seeds(2000); ++seed) {
    INFO("replay with TROUPE_SEED=" << seed);
    std::mt19937_64 random(seed);
    one_random_chain(random);
  }
}

}  // namespace
