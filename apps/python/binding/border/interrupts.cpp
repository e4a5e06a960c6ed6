#include "border/interrupts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <thread>

namespace troupe::python {

/// The thread that hears of signals, started when the first watch is made; like the handlers themselves there
/// is one in a process.
struct SignalReader {
  std::mutex mutex;
  SignalWatch* innermost = nullptr;
  int descriptors[2] = {-1, -1};
  std::uint64_t process = 0;  ///< this_process() when it was started; 0: it was not

  bool start() {
    if (process != 0) return descriptors[1] >= 0;
    process = this_process();
    if (pipe2(descriptors, O_CLOEXEC | O_NONBLOCK) != 0) return descriptors[1] = -1, false;
    try {
      std::thread([this, from = descriptors[0]] { read(from); }).detach();
    } catch (const std::system_error&) {  // then Ctrl-C is heard of when the wait is over
      descriptors[1] = -1;
    }
    return descriptors[1] >= 0;
  }

  void tell(unsigned char signal) {
    const std::lock_guard guard(mutex);
    for (auto* watch = innermost; watch != nullptr; watch = watch->outer_) {
      if (signal == SIGINT || !watch->only_ctrl_c_) watch->source_.request_stop();
      // Whoever listened before wants to hear of it, too.
      if (watch->outer_ == nullptr && watch->before_ >= 0) (void)!::write(watch->before_, &signal, 1);
    }
  }

  void read(int from) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // they are for the main thread
    for (;;) {
      pollfd waiting{from, POLLIN, 0};
      unsigned char signal = 0;
      if (::poll(&waiting, 1, -1) < 0 || ::read(from, &signal, 1) != 1) continue;
      tell(signal);
      // The signal may have come on a thread that is not Python's main one. Python looks for that only when
      // the main thread has to let others in, which a program that computes alone never has.
      const WithPython inside;
    }
  }
};

namespace {

/// For the main thread, inside Python.
SignalReader& reader() {
  static SignalReader* one = nullptr;  // its thread may outlive everything
  // In a child of fork the thread is not there, and who knows what it held.
  if (one == nullptr || (one->process != 0 && one->process != this_process())) one = new SignalReader;
  return *one;
}

/// Of the module behind "signal", whose own functions make enums of what they answer; kept as long as the
/// process.
struct Signals {
  py::object set_wakeup_fd, getsignal, default_int_handler, names, interrupt = py::int_(SIGINT);

  Signals() {
    const auto module = py::module_::import("_signal");
    set_wakeup_fd = module.attr("set_wakeup_fd");
    getsignal = module.attr("getsignal");
    default_int_handler = module.attr("default_int_handler");
    names = py::make_tuple("warn_on_full_buffer");
  }
};
const Signals& signals() {
  static const auto* const one = new Signals;
  return *one;
}

/// Where Python's own handler writes to; what it was before.
int set_wakeup_descriptor(int descriptor) {
  const py::int_ number(descriptor);
  PyObject* const given[] = {number.ptr(), Py_False};
  const auto before = py::reinterpret_steal<py::object>(
      PyObject_Vectorcall(signals().set_wakeup_fd.ptr(), given, 1, signals().names.ptr()));
  if (!before) throw py::error_already_set();
  return before.cast<int>();
}

/// Whether Ctrl-C raises KeyboardInterrupt, rather than what somebody else made of it.
bool ctrl_c_is_pythons() {
  const auto& known = signals();
  const auto now =
      py::reinterpret_steal<py::object>(PyObject_CallOneArg(known.getsignal.ptr(), known.interrupt.ptr()));
  if (!now) throw py::error_already_set();
  return now.is(known.default_int_handler);
}

}  // namespace

void interrupt_again() {
  if (is_main_thread() && ctrl_c_is_pythons()) PyErr_SetInterruptEx(SIGINT);
}

SignalWatch::SignalWatch(On what, From when) : only_ctrl_c_(what == On::ctrl_c) {
  if (when == From::now) listen();
}

void SignalWatch::listen() {
  if (!is_main_thread() || (only_ctrl_c_ && !ctrl_c_is_pythons())) return;
  auto& one = reader();
  reader_ = &one;
  const std::lock_guard guard(one.mutex);
  if (!one.start()) return;
  watches_ = true;
  outer_ = one.innermost;
  one.innermost = this;
  before_ = set_wakeup_descriptor(one.descriptors[1]);
  if (before_ == one.descriptors[1]) before_ = outer_ != nullptr ? before_ : -1;
}

void SignalWatch::about_to_wait() noexcept {
  if (std::exchange(asked_, true) || !is_main_thread()) return;
  const WithPython inside;
  if (!inside) return;
  try {
    listen();
    if (!watches_ || PyErr_CheckSignals() == 0) return;
    raised_.emplace();
    if (!raised_->matches(PyExc_KeyboardInterrupt)) return;  // of another handler: for when the wait is over
    raised_.reset();
    interrupt_again();  // so that whoever waits here raises it, the program or its caller
    request();
  } catch (py::error_already_set& raised) {
    raised.discard_as_unraisable("the begin of a wait");
  } catch (...) {  // then signals are heard of when the wait is over
  }
}

void SignalWatch::raise_raised() {
  if (raised_) throw *std::exchange(raised_, std::nullopt);
}

SignalWatch::~SignalWatch() {
  if (!watches_) return;
  auto& one = *reader_;
  try {
    (void)set_wakeup_descriptor(before_);
  } catch (py::error_already_set& raised) {
    raised.discard_as_unraisable("the end of a wait");
  }
  const std::lock_guard guard(one.mutex);
  one.innermost = outer_;
}

}  // namespace troupe::python
