// Runs that were submitted, and what ends runs from outside.
#include "system/machine.hpp"

namespace troupe::python {
namespace {

/// Waits as long as `seconds` says, and hears of signals; false: not in time.
bool wait(const RunOf& run, const py::object& seconds) {
  using Clock = std::chrono::steady_clock;
  const auto timeout = seconds.is_none() ? std::chrono::nanoseconds::max() : duration_of(seconds, "timeout");
  const auto begin = Clock::now();
  for (;;) {
    const SignalWatch watch(SignalWatch::On::any_signal);
    // One that came before anybody listened.
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    const auto passed = Clock::now() - begin;
    auto left = std::chrono::nanoseconds::zero();
    if (timeout > passed) left = timeout == std::chrono::nanoseconds::max() ? timeout : timeout - passed;
    const bool done = without_python([&] { return run.handle.wait(watch.token(), left); });
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (done) return true;
    if (!watch.token().stop_requested()) return false;
  }
}

py::object result(const RunOf& run, const py::object& timeout) {
  if (!wait(run, timeout)) {
    PyErr_SetString(PyExc_TimeoutError, "the run has not ended in time");
    throw py::error_already_set();
  }
  const auto how = run.handle.report();
  if (how.error) raise_end(*how.error, run.program);
  return run.program ? run.program->returned() : py::object(py::none());
}

/// "running", "done", "failed: task_failed".
std::string end_of(const actors::Handle& handle) {
  if (!handle.done()) return "running";
  const auto report = handle.report();
  return report.error ? "failed: " + std::string(report.error->code().name) : "done";
}

void add_stop(py::module_& module) {
  py::class_<StopOf>(module, "Stop",
                     "Ends runs from outside: node.run(program, stop=stop) on one thread, stop.request() on "
                     "another.\n\n"
                     "It may be given to any number of runs, and ends those that begin later, too.")
      .def(py::init<>())
      .def(
          "request", [](StopOf& of) { without_python([&] { (void)of.source.request_stop(); }); },
          "The runs that were given it end with `cancelled`, as by Handle.cancel(). On any thread.")
      .def_property_readonly(
          "requested", [](const StopOf& of) { return of.source.stop_requested(); },
          "Whether request() was called.")
      .def("__repr__", [](const StopOf& of) {
        return of.source.stop_requested() ? "<troupe.Stop, requested>" : "<troupe.Stop>";
      });
}

void add_handle(py::module_& module) {
  py::class_<RunOf>(module, "Handle", "A run that was submitted. Dropping it leaves the run running.")
      .def_property_readonly(
          "done", [](const RunOf& run) { return run.handle.done(); }, "Whether it has ended, well or not.")
      .def("wait", &wait, py::arg("timeout") = py::none(),
           "Waits for the end; False: not within so many seconds.")
      .def("result", &result, py::arg("timeout") = py::none(),
           "Waits, then returns what the program returned, or raises the run's error. TimeoutError: not in "
           "time.")
      .def(
          "cancel", [](const RunOf& run) { run.handle.cancel(); }, "Asks the run to end with `cancelled`.")
      .def(
          "why",
          [](const RunOf& run, std::uint64_t task) {
            return without_python([&] { return run.handle.why(task); });
          },
          py::arg("task") = 0,
          "Why the run is not done, in words: its oldest unfinished tasks, or one of them by its number.")
      .def(
          "report",
          [](const RunOf& run) {
            (void)wait(run, py::none());
            return run.handle.report();
          },
          "Waits, then everything that is known about the end.")
      .def("__repr__", [](const RunOf& run) {
        return std::string("<troupe.Handle of ") +
               (run.program ? "\"" + run.program->name() + "\", " : "a program, ") + end_of(run.handle) + ">";
      });
}

}  // namespace

void add_handles(py::module_& module) {
  add_stop(module);
  add_handle(module);
}

}  // namespace troupe::python
