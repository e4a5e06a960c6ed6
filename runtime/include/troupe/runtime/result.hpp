#pragma once

// A value or an Error. A Result owns what it holds; like any value it has one user at a time, or many
// readers. Check it before `*` or error(): the wrong one of the two is undefined. value() throws the Error
// instead.

#include <optional>
#include <utility>
#include <variant>

#include "troupe/runtime/error.hpp"

namespace troupe {

/// Either a value or an `Error`. Inside the framework every fallible call returns one; `value()` is the door
/// to the throwing world of user-facing calls. Why not std::expected: it is C++23.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  bool has_value() const noexcept { return state_.index() == 0; }

  /// Undefined when there is no value; check first.
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }

  /// Undefined when there is a value; check first.
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }

  /// The value, or throws the error.
  T& value() & {
    if (!has_value()) throw error();
    return **this;
  }
  const T& value() const& {
    if (!has_value()) throw error();
    return **this;
  }
  T&& value() && {
    if (!has_value()) throw error();
    return *std::move(*this);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const noexcept { return !error_; }
  bool has_value() const noexcept { return !error_; }
  const Error& error() const noexcept { return *error_; }
  void value() const {
    if (error_) throw *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace troupe
