#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::actors {

/// Some of a node's executors, by number.
class LaneSet {
 public:
  void set(std::int32_t executor, bool in) {
    const auto word = static_cast<std::size_t>(executor) / bits;
    if (word >= words_.size()) words_.resize(word + 1);
    const auto bit = std::uint64_t{1} << static_cast<std::size_t>(executor) % bits;
    words_[word] = in ? words_[word] | bit : words_[word] & ~bit;
  }
  /// The first one from that number on, in a circle; -1: there is none.
  std::int32_t next(std::size_t from) const {
    if (words_.empty()) return -1;
    const auto begin = from / bits % words_.size();
    const auto first = ~std::uint64_t{0} << from % bits;
    for (std::size_t n = 0; n <= words_.size(); ++n) {
      const auto word = (begin + n) % words_.size();
      auto in = words_[word];
      if (n == 0) in &= first;
      if (n == words_.size()) in &= ~first;
      if (in != 0) return static_cast<std::int32_t>(word * bits) + std::countr_zero(in);
    }
    return -1;
  }

 private:
  static constexpr std::size_t bits = 64;
  std::vector<std::uint64_t> words_;
};

}  // namespace troupe::actors
