#pragma once

// Errors as values, for all floors. An Error owns its texts and its causes through one shared pointer; it is
// immutable, so copies may be read from any thread. Making one allocates; reading one never fails. Inside the
// framework an Error travels in a Result (result.hpp); calls that a user makes throw it.

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "troupe/runtime/export.hpp"

namespace troupe {

/// A number and its stable name, e.g. {1012, "peer_lost"}. Every floor has one documented enum; its values
/// live in the floor's own range (runtime 1–999, comm 1000–1999, platform 2000–2999, actors 3000–3999), so a
/// bare integer that crossed a C border still tells where it came from.
struct ErrorCode {
  std::int32_t value = 0;
  std::string_view name = "ok";  ///< points to static storage

  friend bool operator==(ErrorCode a, ErrorCode b) noexcept { return a.value == b.value; }
};

/// An enum is a floor's error enum when `std::string_view error_name(E)` is found next to it.
template <class E>
concept ErrorEnum = std::is_enum_v<E> && requires(E e) {
  { error_name(e) } -> std::convertible_to<std::string_view>;
};

/// A failure as a value: a code, a sentence that names the user's thing (task, callable, chip, peer), a hint
/// what to do about it, and the error that caused it. Cheap to copy (one shared pointer), immutable, safe to
/// read from any thread. Inside the framework it travels in `Result<T>`; the blocking calls that a user makes
/// throw it.
class TROUPE_API Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {});

  template <ErrorEnum E>
  Error(E code, std::string message, std::string hint = {})
      : Error(ErrorCode{static_cast<std::int32_t>(code), error_name(code)}, std::move(message),
              std::move(hint)) {}

  ErrorCode code() const noexcept { return data_->code; }
  const std::string& message() const noexcept { return data_->message; }
  const std::string& hint() const noexcept { return data_->hint; }
  /// Where it happened, outermost level first: "pod0/node1/chip3"; empty below the first level.
  const std::string& path() const noexcept { return data_->path; }
  /// The next link of the cause chain, or null.
  const Error* cause() const noexcept { return data_->cause ? data_->cause.get() : nullptr; }
  /// The last link of the cause chain: what went wrong first.
  const Error& root() const noexcept;

  /// The same error with a cause attached (at the end of the chain it already has).
  [[nodiscard]] Error caused_by(const Error& cause) const;
  /// The same error as seen one level up: `segment` is put in front of the path.
  [[nodiscard]] Error inside(std::string_view segment) const;

  /// One line: path, message, code.
  const char* what() const noexcept override { return data_->line.c_str(); }

  template <ErrorEnum E>
  friend bool operator==(const Error& error, E code) noexcept {
    return error.code().value == static_cast<std::int32_t>(code);
  }

 private:
  struct Data {
    ErrorCode code;
    std::string message, hint, path, line;
    std::shared_ptr<const Error> cause;
  };
  explicit Error(Data data);
  std::shared_ptr<const Data> data_;
};

/// For people: the line, the hint, and each cause on a line of its own.
[[nodiscard]] TROUPE_API std::string render(const Error& error);

}  // namespace troupe
