// The module troupe._core. The package around it (apps/python/troupe) is what users import.
#include "border/refusals.hpp"
#include "system/machine.hpp"

PYBIND11_MODULE(_core, module) {
  using namespace troupe::python;
  open_gate();
  py::options options;
  options.disable_enum_members_docstring();
  add_errors(module);
  add_arrays(module);
  add_waits(module);
  add_tensors(module);
  add_uses(module);
  add_arguments(module);
  add_placing(module);
  add_status(module);
  add_orchestrator(module);
  add_domains(module);
  add_traces(module);
  add_runs(module);
  add_ends(module);
  add_machine(module);
  add_plans(module);
  add_bootstrap(module);
  add_simulation(module);
  add_ranks(module);
  add_raw(module);
  add_device(module);
  explain_refusals(module);
  explain_refusals(py::reinterpret_borrow<py::module_>(module.attr("_testing")));
  // The module is loaded once for all interpreters; each imports the package.
  module.def("_check_interpreter", [] {
    if (PyInterpreterState_Get() != PyInterpreterState_Main())
      throw py::import_error("troupe works in the main interpreter only, not in subinterpreters");
  });
  module.def("_contexts_from", &contexts_from);
  module.def("_close_all", [] {
    close_all();
    close_gate();
  });
}
