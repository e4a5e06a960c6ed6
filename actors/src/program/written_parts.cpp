#include "program/written_parts.hpp"

#include <algorithm>

#include "data/data.hpp"

namespace troupe::actors {

using runtime::Box;

void WrittenParts::add(const runtime::Tensor& view) {
  if (unknown_ || view.empty()) return;
  const Box box = runtime::make_box(view);
  if (box.hull) {  // which of its bytes it writes is not known
    unknown_ = true;
  } else if (box.rank == 0) {
    add_range(box.lo, box.hi);
  } else if (!holds(box) && !add_beside(box)) {
    boxes_.push_back(box);
    unknown_ = boxes_.size() > most_boxes;
  }
  if (!unknown_) return;
  ranges_.clear();
  boxes_.clear();
}

void WrittenParts::add_range(std::uint64_t lo, std::uint64_t hi) {
  auto next = ranges_.upper_bound(lo);
  if (next != ranges_.begin() && std::prev(next)->second >= lo) --next;
  while (next != ranges_.end() && next->first <= hi) {
    lo = std::min(lo, next->first);
    hi = std::max(hi, next->second);
    next = ranges_.erase(next);
  }
  ranges_.emplace(lo, hi);
}

/// Columns beside columns make wider columns, and whole rows in the end.
bool WrittenParts::add_beside(const Box& box) {
  for (auto known = boxes_.begin(); known != boxes_.end(); ++known) {
    const Box &left = known->lo < box.lo ? *known : box, &right = known->lo < box.lo ? box : *known;
    if (left.rank != right.rank || left.strides != right.strides || left.extents != right.extents ||
        right.lo != left.lo + run_of(left)) {
      continue;
    }
    const auto run = run_of(left) + run_of(right);
    Box wide = left;
    wide.hi = right.hi;
    boxes_.erase(known);
    if (run != wide.strides[wide.rank - 1U]) {
      boxes_.push_back(wide);
    } else if (wide.rank == 1) {
      add_range(wide.lo, wide.hi);
    } else {
      // The innermost gaps are gone, and with them a dimension.
      wide.strides[wide.rank - 1U] = wide.extents[wide.rank - 1U] = 0;
      --wide.rank;
      if (!add_beside(wide)) boxes_.push_back(wide);
    }
    return true;
  }
  return false;
}

bool WrittenParts::holds(const Box& box) const {
  const auto next = ranges_.upper_bound(box.lo);
  if (next != ranges_.begin() && std::prev(next)->second >= box.hi) return true;
  return std::any_of(boxes_.begin(), boxes_.end(),
                     [&](const Box& known) { return runtime::covers(known, box); });
}

bool WrittenParts::touches(const Box& box) const {
  auto range = ranges_.upper_bound(box.lo);
  if (range != ranges_.begin()) --range;
  for (; range != ranges_.end() && range->first < box.hi; ++range) {
    Box known;
    known.lo = range->first;
    known.hi = range->second;
    if (runtime::overlaps(known, box)) return true;
  }
  return std::any_of(boxes_.begin(), boxes_.end(),
                     [&](const Box& known) { return runtime::overlaps(known, box); });
}

bool WrittenParts::none_of(const runtime::Tensor& view) const {
  return !unknown_ && !view.empty() && !touches(runtime::make_box(view));
}

bool WrittenParts::all(std::uint64_t bytes) const {
  return unknown_ || (ranges_.size() == 1 && ranges_.begin()->first == 0 && ranges_.begin()->second >= bytes);
}

std::optional<runtime::Tensor> WrittenParts::missing_in(const runtime::Tensor& view) const {
  if (unknown_ || view.empty()) return std::nullopt;
  int steps = most_steps;
  return search(view, steps);
}

/// In halves, until one is written all or not at all.
std::optional<runtime::Tensor> WrittenParts::search(const runtime::Tensor& view, int& steps) const {
  if (--steps < 0) return std::nullopt;
  const Box box = runtime::make_box(view);
  if (holds(box)) return std::nullopt;
  if (!touches(box)) return view;
  for (std::size_t dim = 0; dim < view.dims(); ++dim) {
    const std::uint64_t extent = view.extent(dim);
    if (extent < 2) continue;
    if (auto first = search(view.slice(dim, 0, extent / 2), steps)) return first;
    return search(view.slice(dim, extent / 2, extent), steps);
  }
  return std::nullopt;  // an element of which only some bytes were written: a view of another type did
}

}  // namespace troupe::actors
