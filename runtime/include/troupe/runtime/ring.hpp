#pragma once

// A queue in one block of memory, which grows to what it held at most and is used again and again: one that
// stays empty has none, and nothing is asked of the allocator for an element. One owner at a time.
// Errors: none but std::bad_alloc, which leaves it as it was.

#include <cstddef>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

namespace troupe::runtime {

/// Why not std::deque? It has two blocks of memory before its first element, and one more for every 512 bytes
/// that pass through it. Elements move when it grows: references are good until the next push.
template <class T>
class Ring {
  static_assert(std::is_nothrow_move_constructible_v<T>, "elements are moved when it grows");

  template <class R, class V>
  class Place {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = V*;
    using reference = V&;

    Place() = default;
    Place(R* ring, std::size_t at) : ring_(ring), at_(at) {}
    V& operator*() const { return (*ring_)[at_]; }
    V* operator->() const { return &(*ring_)[at_]; }
    Place& operator++() { return ++at_, *this; }
    Place operator++(int) { return {ring_, at_++}; }
    friend bool operator==(const Place&, const Place&) = default;

   private:
    R* ring_ = nullptr;
    std::size_t at_ = 0;
  };

 public:
  Ring() = default;
  Ring(Ring&& other) noexcept { swap(other); }
  Ring& operator=(Ring&& other) noexcept {
    Ring(std::move(other)).swap(*this);
    return *this;
  }
  ~Ring() {
    clear();
    if (block_ != nullptr) std::allocator<T>().deallocate(block_, room_);
  }

  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }
  T& operator[](std::size_t at) noexcept { return block_[(first_ + at) & (room_ - 1)]; }
  const T& operator[](std::size_t at) const noexcept { return block_[(first_ + at) & (room_ - 1)]; }
  T& front() noexcept { return (*this)[0]; }
  const T& front() const noexcept { return (*this)[0]; }
  T& back() noexcept { return (*this)[count_ - 1]; }
  const T& back() const noexcept { return (*this)[count_ - 1]; }

  template <class... From>
  T& emplace_back(From&&... from) {
    if (count_ == room_) return push_grown(T(std::forward<From>(from)...));
    return *std::construct_at(&(*this)[count_++], std::forward<From>(from)...);
  }
  void push_back(T&& element) { (void)emplace_back(std::move(element)); }
  void push_back(const T& element) { (void)emplace_back(element); }
  void pop_front() noexcept {
    std::destroy_at(&front());
    first_ = (first_ + 1) & (room_ - 1);
    --count_;
  }
  void pop_back() noexcept {
    std::destroy_at(&back());
    --count_;
  }
  void clear() noexcept {
    while (!empty()) pop_front();
  }
  void swap(Ring& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(room_, other.room_);
    std::swap(first_, other.first_);
    std::swap(count_, other.count_);
  }

  auto begin() noexcept { return Place<Ring, T>(this, 0); }
  auto end() noexcept { return Place<Ring, T>(this, count_); }
  auto begin() const noexcept { return Place<const Ring, const T>(this, 0); }
  auto end() const noexcept { return Place<const Ring, const T>(this, count_); }

 private:
  static constexpr std::size_t smallest = 8;

  /// The element may be one that is here: it has been made before anything moves.
  T& push_grown(T&& element) {
    Ring larger;
    const auto room = room_ == 0 ? smallest : 2 * room_;
    larger.block_ = std::allocator<T>().allocate(room);
    larger.room_ = room;
    for (auto& old : *this) larger.emplace_back(std::move(old));
    swap(larger);
    return emplace_back(std::move(element));
  }

  T* block_ = nullptr;
  std::size_t room_ = 0;  ///< a power of 2, or 0
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace troupe::runtime
