// What a program can wait for: the public side of `ProgramCore::wait`.
#include "troupe/actors/waiting.hpp"

#include <array>
#include <cstring>

#include "program/core.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/orchestrator.hpp"

namespace troupe::actors {
namespace {

constexpr auto wait_at_home = "wait for it in its own program; `Handle::wait` waits for a whole run";

}  // namespace

Waiter::~Waiter() {
  if (token == 0) return;
  if (const auto alive = program_.lock()) alive->core->forget(*this);
}
ProgramCore& Waiter::core() const {
  if (const auto alive = program_.lock()) {
    if (alive->is_here()) return *alive->core;
    throw Error(Errc::wrong_program, "a wait for something of another program, which is still running",
                wait_at_home);
  }
  throw Error(Errc::wrong_program, "a wait for something of a program that has returned",
              "wait inside the program; `Handle::wait` waits for a whole run");
}
void Waiter::block() { core().block_on(*this); }

void Task::wait(CodeLine at) const { Await(program_, number_).wait(at); }
void Task::Await::await_suspend(std::coroutine_handle<> self, CodeLine at) {
  line = at;
  continuation = self;
  begin();
}
void Task::Await::wait(CodeLine at) {
  line = at;
  begin();
  block();
  rethrow();
}
void Task::Await::begin() {
  const auto there = program().lock();
  if (number_ == 0)
    throw Error(Errc::bad_argument, "an empty Task stands for no task", "keep what submit returns");
  if (!there) {
    throw Error(Errc::wrong_program, "task " + std::to_string(number_) + " is of a program that has returned",
                "wait inside the program; `Handle::wait` waits for a whole run");
  }
  if (!there->is_here()) {
    throw Error(Errc::wrong_program,
                "task " + std::to_string(number_) + " is of another program, which is still running",
                wait_at_home);
  }
  core().wait(*this, actors::Await::What::task, number_);
}

void Drained::await_suspend(std::coroutine_handle<> self) {
  continuation = self;
  core().wait(*this, Await::What::drained, core().last_task());
}
void Drained::wait() {
  core().wait(*this, Await::What::drained, core().last_task());
  block();
  rethrow();
}

// A program that is recorded waits for nothing; its limits are those of the program around it.
bool Room::await_ready() const { return core().below_soft_limit() || core().is_recorded(); }
void Room::await_suspend(std::coroutine_handle<> self) {
  continuation = self;
  core().wait(*this, Await::What::room, 0, room_limit());
}
void Room::wait() {
  if (await_ready()) return;
  core().wait(*this, Await::What::room, 0, room_limit());
  block();
  rethrow();
}
std::uint64_t Room::room_limit() const {
  // Below the limit by a quarter, so that the program gets going for a while.
  return std::max<std::uint64_t>(1, core().node().soft_limit * std::uint64_t{3} / 4);
}

ReadBytes::ReadBytes(ProgramLife program, const Tensor& tensor, runtime::DType wanted, CodeLine at)
    : Waiter(std::move(program), at), tensor_(tensor) {
  if (!tensor.valid()) throw Error(Errc::bad_argument, "a read of a tensor that describes nothing");
  if (tensor.dtype() == wanted) return;
  const std::string given(runtime::name_of(tensor.dtype()));
  throw Error(runtime::Errc::dtype_mismatch,
              "a read of " + std::string(runtime::name_of(wanted)) + " elements from " +
                  to_string(tensor.description()),
              "read it as what it is: " + given);
}
void ReadBytes::begin() {
  tensor_ = core().with_buffer(tensor_);
  number_ = core().read(tensor_, line);
  core().wait(*this, Await::What::data, number_);
}
void ReadBytes::await_suspend(std::coroutine_handle<> self) {
  continuation = self;
  begin();
}
void ReadBytes::block_for_data() {
  begin();
  block();
}
ReadBytes::~ReadBytes() {
  // Given up (the frame was destroyed, or an exception passed by): writers must not wait for this reader.
  if (number_ == 0 || finished_ || error) return;
  if (const auto alive = program().lock()) alive->core->read_done(number_);
}

void ReadBytes::finish(void* to, std::uint64_t elements) {
  if (elements > tensor_.elements()) {
    throw Error(runtime::Errc::out_of_range, "a read of the first element of a tensor that has none",
                "read_all gives as many as there are");
  }
  const auto& view = tensor_.description();
  const auto bytes = view.element_bytes();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address travelled as a number
  const auto* base =
      reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(value)) + view.byte_offset();
  auto* out = static_cast<std::byte*>(to);
  if (view.is_contiguous()) {
    if (elements != 0) std::memcpy(out, base, elements * bytes);
  } else {
    // Row-major order over the strides.
    std::array<std::uint32_t, runtime::limits::max_dims> at{};
    for (std::uint64_t i = 0; i < elements; ++i) {
      std::uint64_t offset = 0;
      for (std::size_t d = 0; d < view.dims(); ++d) offset += std::uint64_t{at[d]} * view.stride(d);
      std::memcpy(out + i * bytes, base + offset * bytes, bytes);
      for (std::size_t d = view.dims(); d-- > 0;) {
        if (++at[d] < view.extent(d)) break;
        at[d] = 0;
      }
    }
  }
  finished_ = true;
  core().read_done(number_);
}

}  // namespace troupe::actors
