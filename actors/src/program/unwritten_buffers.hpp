#pragma once

#include <cstdint>

#include "troupe/runtime/ring.hpp"

namespace troupe::actors {

/// The intermediates of a program that no task has been given to write yet, by number. Numbers come in order
/// and most are written soon, so it keeps a bit for each from the oldest unwritten one on.
class UnwrittenBuffers {
 public:
  /// `number` is the next one.
  void made(std::uint64_t number) {
    if (words_.empty()) first_ = number / bits;
    while (first_ + words_.size() <= number / bits) words_.push_back(0);
    words_[number / bits - first_] |= bit(number);
  }
  /// Or can no longer be named. Fine for any number, any number of times.
  void written(std::uint64_t number) {
    if (!contains(number)) return;
    words_[number / bits - first_] &= ~bit(number);
    while (!words_.empty() && words_.front() == 0) {
      words_.pop_front();
      ++first_;
    }
  }
  bool contains(std::uint64_t number) const {
    const auto word = number / bits;
    return word >= first_ && word - first_ < words_.size() && (words_[word - first_] & bit(number)) != 0;
  }

 private:
  static constexpr std::uint64_t bits = 64;
  static std::uint64_t bit(std::uint64_t number) { return std::uint64_t{1} << (number % bits); }
  runtime::Ring<std::uint64_t> words_;
  std::uint64_t first_ = 0;  ///< number of the first word
};

}  // namespace troupe::actors
