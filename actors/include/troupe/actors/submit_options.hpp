#pragma once

// What a submit can ask for besides its arguments: where, when and how often the task runs, and its name.
// Plain values that own what they hold, made on any thread. They keep what was said; the submit that gets one
// throws bad_argument (or no_such_chip, wrong_program) when it cannot be met.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "troupe/actors/arguments.hpp"
#include "troupe/runtime/call_config.hpp"
#include "troupe/runtime/saturated.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

// Options of a submit, in any order between and after the arguments. They keep the value as it was given; the
// submit refuses a value that makes no sense.
struct OnExecutor {
  std::int64_t index;
};
struct Anywhere {};
struct Priority {
  std::int64_t value;
};
struct Deadline {
  std::chrono::nanoseconds value;
};
struct Retry {
  std::int64_t attempts;
};
struct Idempotent {};
struct Named {
  std::string value;
};
using runtime::Blocks;
using runtime::blocks;

/// An edge that the data does not show; `after(task)` in waiting.hpp makes it.
struct After;

namespace detail {

/// The types of a submit's options.
template <class T>
concept TaskOption = OneOf<T, OnExecutor, Anywhere, Priority, After, Deadline, Retry, Idempotent, Named,
                           Blocks, runtime::CallConfig>;

template <class Option, class... Items>
inline constexpr std::size_t times = (std::size_t{std::is_same_v<Items, Option>} + ... + 0);

/// Whether a submit with these items has each option once: what was said twice may have been meant twice.
template <class... Items>
consteval bool each_option_once() {
  constexpr bool once = times<OnExecutor, Items...> + times<Anywhere, Items...> <= 1 &&
                        times<Priority, Items...> <= 1 && times<Deadline, Items...> <= 1 &&
                        times<Retry, Items...> <= 1 && times<Idempotent, Items...> <= 1 &&
                        times<Named, Items...> <= 1 && times<Blocks, Items...> <= 1 &&
                        times<runtime::CallConfig, Items...> <= 1;
  static_assert(once, "a submit takes each option once; only after(task) may be given several times");
  return once;
}

template <std::integral T>
constexpr std::int64_t wide(T value) {
  return std::in_range<std::int64_t>(value) ? static_cast<std::int64_t>(value) : INT64_MAX;
}
}  // namespace detail

/// On chip number `index` of the node (at a pod: on its node number `index`).
template <std::integral T>
OnExecutor on_chip(T index) {
  return {detail::wide(index)};
}
template <std::integral T>
[[deprecated("say on_chip(index), also of a pod's nodes")]] OnExecutor on(T executor) {
  return on_chip(executor);
}
inline constexpr Anywhere anywhere{};
/// Higher goes first among tasks that are ready; -128 … 127, 0 by default.
template <std::integral T>
Priority priority(T value) {
  return {detail::wide(value)};
}
/// Given up (with `deadline_exceeded`) when not done in time, counted from the submit. More than zero; what
/// is longer than 292 years is for ever.
inline Deadline deadline(runtime::Nanoseconds value) { return {value}; }
/// Up to `attempts` further attempts after a failure or after the loss of the chip.
template <std::integral T>
Retry retry(T attempts) {
  return {detail::wide(attempts)};
}
inline constexpr Idempotent idempotent{};
inline Named name(std::string value) { return {std::move(value)}; }

}  // namespace troupe::actors
