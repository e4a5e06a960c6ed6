#pragma once

// Plans: programs that were recorded, to be replayed with other tensors and numbers. Inside Python only.

#include <optional>
#include <string>
#include <vector>

#include "system/machine.hpp"

namespace troupe::python {

/// A plan, and of which types its numbers are: one that Python gives is taken as that type.
struct PlanOf {
  actors::Plan plan;
  std::vector<std::string> types;  ///< by parameter, as numpy calls them; empty: a tensor
};

/// Starts a replay as a run of its own, or as a task of a program.
actors::BoundProgram bind_plan(const PlanOf& plan, const py::tuple& items, py::kwargs& options);
Wait submit_plan(const SeatRef& seat, const PlanOf& plan, const py::tuple& items, const py::kwargs& options);

/// Records a program of this node, as a run.
PlanOf record_on(const NodeOf& on, const py::object& function, const py::tuple& args, const py::object& name);

}  // namespace troupe::python
