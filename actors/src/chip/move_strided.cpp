#include "chip/move_strided.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "data/data.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

Error ended_during(const MemoryCall& call) {
  return {Errc::chip_lost, std::string(call.name()) + ": the chip ended during the copy"};
}

/// The bytes of some boxes of a buffer.
class Ranges {
 public:
  explicit Ranges(const std::vector<runtime::Box>& boxes) {
    std::vector<Range> some;
    for (const auto& box : boxes) {
      (void)for_each_run_of(box, [&](std::uint64_t at, std::uint64_t bytes) -> Result<void> {
        some.push_back({at, at + bytes});
        return {};
      });
    }
    std::sort(some.begin(), some.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
    for (const auto& range : some) {
      if (all_.empty() || all_.back().last < range.first) {
        all_.push_back(range);
      } else {
        all_.back().last = std::max(all_.back().last, range.last);
      }
    }
  }
  /// Calls `visit(first, last)` for what of a range is none of them.
  template <class Visit>
  void for_each_beside(std::uint64_t first, std::uint64_t last, Visit visit) const {
    auto next = std::lower_bound(all_.begin(), all_.end(), first,
                                 [](const Range& range, std::uint64_t at) { return range.last <= at; });
    for (; next != all_.end() && next->first < last; ++next) {
      if (first < next->first) visit(first, next->first);
      first = next->last;
    }
    if (first < last) visit(first, last);
  }

 private:
  struct Range {
    std::uint64_t first = 0, last = 0;
  };
  std::vector<Range> all_;  ///< in order; they do not meet
};

/// From the chip, but for what host memory has.
Result<void> store_rest(DeviceInUse& device, const MemoryCall& call) {
  const auto &all = call.strided->all, &what = call.strided->what;
  auto* host = static_cast<std::byte*>(call.host);
  const Ranges at_home(call.strided->but);
  std::vector<std::byte> buffer(std::min(stage_piece, run_of(what)));
  return for_each_run_of(what, [&](std::uint64_t at, std::uint64_t bytes) -> Result<void> {
    for (const auto end = at + bytes; at < end;) {
      if (device.given_up()) return ended_during(call);
      const auto some = std::min<std::uint64_t>(buffer.size(), end - at);
      auto made = device.context.copy_from(buffer.data(), call.address + packed_offset(all, at), some);
      if (!made) return made;
      at_home.for_each_beside(at, at + some, [&](std::uint64_t first, std::uint64_t last) {
        std::memcpy(host + first, buffer.data() + (first - at), last - first);
      });
      at += some;
    }
    return {};
  });
}

}  // namespace

/// One run after the other, or, when they are short, many of them through a buffer.
Result<void> move_strided(DeviceInUse& device, const MemoryCall& call, bool to_chip) {
  constexpr std::uint64_t long_run = 32ULL << 10U;
  if (!call.strided->but.empty()) return store_rest(device, call);
  const auto &all = call.strided->all, &what = call.strided->what;
  const auto run = run_of(what);
  auto& context = device.context;
  auto* host = static_cast<std::byte*>(call.host);
  const auto ended = [&] { return ended_during(call); };
  if (run >= long_run || what != all) {
    return for_each_run_of(what, [&](std::uint64_t at, std::uint64_t bytes) -> Result<void> {
      if (device.given_up()) return ended();
      const auto there = call.address + packed_offset(all, at);
      return to_chip ? context.copy_to(there, host + at, bytes) : context.copy_from(host + at, there, bytes);
    });
  }
  std::vector<std::byte> buffer;
  std::vector<std::uint64_t> runs;  // of which the buffer has the bytes
  auto there = call.address;
  const auto flush = [&]() -> Result<void> {
    if (runs.empty()) return {};
    if (device.given_up()) return ended();
    const auto bytes = runs.size() * run;
    if (!to_chip) {
      buffer.resize(bytes);
      if (auto made = context.copy_from(buffer.data(), there, bytes); !made) return made;
      for (std::size_t i = 0; i < runs.size(); ++i) std::memcpy(host + runs[i], buffer.data() + i * run, run);
    } else if (auto made = context.copy_to(there, buffer.data(), bytes); !made) {
      return made;
    }
    there += bytes;
    runs.clear();
    buffer.clear();
    return {};
  };
  auto made = for_each_run_of(what, [&](std::uint64_t at, std::uint64_t bytes) -> Result<void> {
    if (to_chip) buffer.insert(buffer.end(), host + at, host + at + bytes);
    runs.push_back(at);
    return runs.size() * bytes >= stage_piece ? flush() : Result<void>();
  });
  return made ? flush() : made;
}

}  // namespace troupe::actors
