#include <algorithm>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::runtime {

namespace {

// One dimension of the difference of two boxes: k * stride with min <= k <= max.
struct Difference {
  std::int64_t stride, min, max;
};

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b < 0 ? 1 : 0);
}

// Two boxes meet iff delta + sum(k_d * stride_d) lies in (-run_b, run_a) for some k in the ranges of the
// differences of their indices. With nested dimensions at most three k per dimension come into question, so
// the search is short; a budget bounds the odd cases.
class MeetSearch {
 public:
  MeetSearch(const Box& a, const Box& b) noexcept
      : run_a_(static_cast<std::int64_t>(a.run())), run_b_(static_cast<std::int64_t>(b.run())) {
    std::size_t i = 0, j = 0;
    while (i < a.rank || j < b.rank) {
      const std::uint64_t stride_a = i < a.rank ? a.strides[i] : 0;
      const std::uint64_t stride_b = j < b.rank ? b.strides[j] : 0;
      Difference& d = dims_[count_++];
      d = {static_cast<std::int64_t>(std::max(stride_a, stride_b)), 0, 0};
      if (stride_a >= stride_b) d.min = -(static_cast<std::int64_t>(a.extents[i++]) - 1);
      if (stride_b >= stride_a) d.max = static_cast<std::int64_t>(b.extents[j++]) - 1;
    }
    for (std::size_t d = count_; d-- > 0;) {
      reach_min_[d] = reach_min_[d + 1] + dims_[d].min * dims_[d].stride;
      reach_max_[d] = reach_max_[d + 1] + dims_[d].max * dims_[d].stride;
    }
  }

  bool found(std::size_t d, std::int64_t delta) noexcept {
    if (d == count_) return -run_b_ < delta && delta < run_a_;
    if (--budget_ < 0) return true;
    const Difference& dim = dims_[d];
    const std::int64_t first =
        std::max(dim.min, -floor_div(delta + reach_max_[d + 1] + run_b_ - 1, dim.stride));
    const std::int64_t last =
        std::min(dim.max, floor_div(run_a_ - 1 - reach_min_[d + 1] - delta, dim.stride));
    for (std::int64_t k = first; k <= last; ++k) {
      if (found(d + 1, delta + k * dim.stride)) return true;
    }
    return false;
  }

 private:
  std::int64_t run_a_, run_b_;
  std::array<Difference, 2 * Box::max_rank> dims_{};
  std::array<std::int64_t, 2 * Box::max_rank + 1> reach_min_{}, reach_max_{};
  std::size_t count_ = 0;
  int budget_ = 256;
};

}  // namespace

std::uint64_t Box::run() const noexcept {
  std::uint64_t gaps = 0;
  for (std::size_t d = 0; d < rank; ++d) gaps += strides[d] * (extents[d] - 1);
  return hi - lo - gaps;
}

Box make_box(std::uint64_t offset, std::span<const std::uint32_t> extents,
             std::span<const std::uint64_t> strides, std::uint64_t element_bytes) {
  Box box;
  box.lo = box.hi = offset;
  std::array<std::pair<std::uint64_t, std::uint64_t>, Box::max_rank> dims{};  // stride, extent
  std::size_t count = 0;
  std::uint64_t last = 0;  // the last element, from the first
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] == 0) return box;
    if (extents[i] == 1 || strides[i] == 0) continue;
    last += strides[i] * (extents[i] - 1ULL);
    std::size_t at = count++;
    for (; at > 0 && dims[at - 1].first < strides[i]; --at) dims[at] = dims[at - 1];
    dims[at] = {strides[i], extents[i]};
  }
  box.hi = offset + last + element_bytes;
  std::uint64_t run = element_bytes;
  while (count > 0 && dims[count - 1].first == run) run *= dims[--count].second;
  // What is left has gaps; innermost first, merge neighbours that continue each other.
  std::uint64_t inner = run;  // bytes from first to last of all inner dimensions
  std::array<std::pair<std::uint64_t, std::uint64_t>, Box::max_rank> kept{};
  for (std::size_t d = count; d-- > 0;) {
    const auto [stride, extent] = dims[d];
    if (stride < inner) {  // elements interleave: the covering range
      box.rank = 0;
      box.hull = true;
      return box;
    }
    if (box.rank > 0) {
      auto& below = kept[box.rank - 1U];
      if (stride == below.first * below.second && below.second * extent <= 0xFFFF'FFFFU) {
        below.second *= extent;
        inner += stride * (extent - 1);
        continue;
      }
    }
    kept[box.rank++] = dims[d];
    inner += stride * (extent - 1);
  }
  for (std::size_t d = 0; d < box.rank; ++d) {
    box.strides[d] = kept[box.rank - 1U - d].first;
    box.extents[d] = static_cast<std::uint32_t>(kept[box.rank - 1U - d].second);
  }
  return box;
}

Box make_box(const Tensor& view) {
  if (view.valid() && view.is_contiguous()) return {view.byte_offset(), view.byte_offset() + view.bytes()};
  std::array<std::uint32_t, Box::max_rank> extents{};
  std::array<std::uint64_t, Box::max_rank> strides{};
  for (std::size_t d = 0; d < view.dims(); ++d) {
    extents[d] = view.extent(d);
    strides[d] = std::uint64_t{view.stride(d)} * view.element_bytes();
  }
  return make_box(view.byte_offset(), std::span(extents).first(view.dims()),
                  std::span(strides).first(view.dims()), view.element_bytes());
}

bool overlaps(const Box& a, const Box& b) noexcept {
  if (a.hi <= b.lo || b.hi <= a.lo || a.lo == a.hi || b.lo == b.hi) return false;
  if (a.rank == 0 && b.rank == 0) return true;
  return MeetSearch(a, b).found(0, static_cast<std::int64_t>(b.lo - a.lo));
}

bool covers(const Box& outer, const Box& inner) noexcept {
  if (inner.lo < outer.lo || inner.hi > outer.hi) return inner.lo == inner.hi;
  if (outer.rank == 0) return true;
  // Dimensions of the inner box must be ones of the outer box; the others have to fit into its run.
  std::uint64_t rest = inner.lo - outer.lo;
  std::uint64_t span = inner.run();
  std::size_t j = 0;
  for (std::size_t d = 0; d < outer.rank; ++d) {
    for (; j < inner.rank && inner.strides[j] > outer.strides[d]; ++j) {
      span += inner.strides[j] * (inner.extents[j] - 1ULL);
    }
    const std::uint64_t first = rest / outer.strides[d];
    rest %= outer.strides[d];
    const bool shared = j < inner.rank && inner.strides[j] == outer.strides[d];
    if (first + (shared ? inner.extents[j] : 1U) > outer.extents[d]) return false;
    if (shared) ++j;
  }
  for (; j < inner.rank; ++j) span += inner.strides[j] * (inner.extents[j] - 1ULL);
  return rest + span <= outer.run();
}

void AccessList::add(const Tensor& view, Tag tag) {
  const Box box = make_box(view);
  if (accesses_.capacity() == 0) accesses_.reserve(8);
  accesses_.push_back({view.buffer(), view.buffer_bytes(), box.lo, box.hi, nullptr, tag});
  if (box.rank == 0 && !box.hull) return;
  boxes_.push_back(box);
  box_of_.push_back(static_cast<std::uint32_t>(accesses_.size() - 1));
}

void AccessList::clear() noexcept {
  accesses_.clear();
  boxes_.clear();
  box_of_.clear();
}

std::span<const Access> AccessList::span() noexcept {
  for (std::size_t i = 0; i < boxes_.size(); ++i) accesses_[box_of_[i]].box = &boxes_[i];
  return accesses_;
}

}  // namespace troupe::runtime
