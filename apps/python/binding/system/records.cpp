#include "system/records.hpp"

#include <chrono>
#include <sstream>

#include "system/machine.hpp"

namespace troupe::python {

TraceOf::TraceOf()
    : sink(std::make_shared<actors::TraceSink>(actors::TraceSink::Options{
          .epoch = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count()})) {}

void add_traces(py::module_& module) {
  py::class_<TraceOf>(module, "Trace",
                      "What ran where and when: troupe.System(trace=troupe.Trace()), or of a simulation.\n\n"
                      "Read it when the System has ended; before, what is being recorded may be missing.")
      .def(py::init<>())
      .def(
          "describe",
          [](const TraceOf& of, const std::string& key, const std::string& value) {
            of.sink->describe(key, value);
          },
          py::arg("key"), py::arg("value"), "A fact that is written with it.")
      .def(
          "write",
          [](const TraceOf& of, const py::object& path) {
            const auto file = path_of(path, "path");
            without_python([&] { actors::write_chrome_trace(of.sink->snapshot(), file).value(); });
          },
          py::arg("path"), "Writes a file for Perfetto, chrome://tracing and `troupe trace`.")
      .def(
          "json",
          [](const TraceOf& of) {
            return without_python([&] {
              std::ostringstream out;
              actors::write_chrome_trace(of.sink->snapshot(), out);
              return out.str();
            });
          },
          "The text of that file: json.loads(trace.json())[\"traceEvents\"].")
      .def("__repr__", [](const TraceOf& of) {
        const auto trace = of.sink->snapshot();
        return "<troupe.Trace of " + std::to_string(trace.spans.size()) + " spans>";
      });
}

}  // namespace troupe::python
