#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "runtime/graph/program.hpp"
#include "support/random.hpp"
#include "troupe/runtime/tensor.hpp"

namespace {

using namespace troupe::runtime;
using namespace troupe::test;

std::vector<std::uint32_t> sorted_bytes(const View& view) {
  auto bytes = view.bytes();
  std::sort(bytes.begin(), bytes.end());
  bytes.erase(std::unique(bytes.begin(), bytes.end()), bytes.end());
  return bytes;
}

// Boxes of one row-major tensor, unit steps: what has to be exact.
View box_view(Random& random, std::uint32_t planes, std::uint32_t rows, std::uint32_t columns) {
  View view;
  view.element = 2;
  const std::array<std::uint32_t, 3> shape{planes, rows, columns};
  view.strides = {std::uint64_t{rows} * columns * 2, std::uint64_t{columns} * 2, 2};
  for (std::size_t d = 0; d < 3; ++d) {
    const std::uint64_t first = below(random, shape[d]);
    view.extents.push_back(static_cast<std::uint32_t>(1 + below(random, shape[d] - first)));
    view.offset += first * view.strides[d];
  }
  return view;
}

View wild_view(Random& random) {
  View view;
  view.element = 1U << below(random, 2);
  view.offset = below(random, 40);
  for (std::uint64_t d = below(random, 4); d-- > 0;) {
    view.extents.push_back(static_cast<std::uint32_t>(1 + below(random, 4)));
    view.strides.push_back(below(random, 30));
  }
  return view;
}

bool meet(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::vector<std::uint32_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return !both.empty();
}

TEST_CASE("boxes of one row-major tensor meet and cover exactly where their bytes do") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(3000); ++seed) {
    Random random(seed);
    const auto planes = static_cast<std::uint32_t>(1 + below(random, 4)),
               rows = static_cast<std::uint32_t>(1 + below(random, 5)),
               columns = static_cast<std::uint32_t>(1 + below(random, 6));
    const View a = box_view(random, planes, rows, columns), b = box_view(random, planes, rows, columns);
    const auto bytes_a = sorted_bytes(a), bytes_b = sorted_bytes(b);
    INFO("TROUPE_SEED=" << seed);
    REQUIRE(overlaps(a.box(), b.box()) == meet(bytes_a, bytes_b));
    if (covers(a.box(), b.box())) {
      REQUIRE(std::includes(bytes_a.begin(), bytes_a.end(), bytes_b.begin(), bytes_b.end()));
    }
    if (bytes_a == bytes_b) REQUIRE(a.box() == b.box());
  }
}

TEST_CASE("whatever the strides, a shared byte is never missed and cover is never claimed wrongly") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(5000); ++seed) {
    Random random(seed);
    const View a = wild_view(random), b = wild_view(random);
    const auto bytes_a = sorted_bytes(a), bytes_b = sorted_bytes(b);
    const Box box_a = a.box(), box_b = b.box();
    INFO("TROUPE_SEED=" << seed);
    REQUIRE(box_a.lo == bytes_a.front());
    REQUIRE(box_a.hi == bytes_a.back() + 1);
    if (meet(bytes_a, bytes_b)) REQUIRE(overlaps(box_a, box_b));
    if (!box_a.hull && !box_b.hull) REQUIRE(overlaps(box_a, box_b) == meet(bytes_a, bytes_b));
    if (!box_a.hull && covers(box_a, box_b)) {
      REQUIRE(std::includes(bytes_a.begin(), bytes_a.end(), bytes_b.begin(), bytes_b.end()));
    }
  }
}

TEST_CASE("a tensor's views that touch the same bytes are the same box") {
  std::array<float, 24> data{};
  const Tensor x = Tensor::host(data.data(), {4, 6});
  CHECK(make_box(x.rows(1, 2)) == make_box(x.transpose().slice(1, 1, 2)));
  CHECK(make_box(x.rows(1, 3)).rank == 0);
  CHECK(make_box(x.view({0, 2}, {4, 2})).rank == 1);
  CHECK_FALSE(overlaps(make_box(x.view({0, 2}, {4, 2})), make_box(x.view({0, 4}, {4, 2}))));
  CHECK(overlaps(make_box(x.view({0, 2}, {4, 2})), make_box(x.rows(3, 4))));
}

TEST_CASE("the reshape of a view keeps its offset, and is compared by bytes") {  // defect 12
  std::array<float, 24> data{};
  const Tensor x = Tensor::host(data.data(), {4, 6});
  const Tensor folded = x.rows(2, 4).reshape({3, 4});
  CHECK(make_box(folded).lo == 48);
  CHECK_FALSE(overlaps(make_box(folded), make_box(x.rows(0, 2))));
  CHECK(overlaps(make_box(folded.rows(0, 1)), make_box(x.rows(2, 3))));
  CHECK_FALSE(overlaps(make_box(folded.rows(2, 3)), make_box(x.rows(2, 3))));
}

}  // namespace
