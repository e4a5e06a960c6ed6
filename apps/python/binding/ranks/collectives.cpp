// Collectives of ranks, over arrays of their programs.
#include "troupe/comm/collectives.hpp"

#include "ranks/ranks.hpp"

namespace troupe::python {
namespace {

using comm::Collectives;

comm::ReduceOp operation_of(const std::string& word) {
  using comm::ReduceOp;
  return one_of<ReduceOp>(word, {{"sum", ReduceOp::sum}, {"min", ReduceOp::min}, {"max", ReduceOp::max}},
                          "operation");
}

comm::AllReduceAlgorithm algorithm_of(const std::string& word) {
  using A = comm::AllReduceAlgorithm;
  return one_of<A>(word,
                   {{"automatic", A::automatic},
                    {"one_phase", A::one_phase},
                    {"two_phase", A::two_phase},
                    {"ring", A::ring},
                    {"bidirectional_ring", A::bidirectional_ring}},
                   "algorithm");
}

Error unlike(const std::string& what) {
  return bad_argument(what, "arrays of one element type, with as many elements as the operation says");
}

/// Collectives of a rank, over arrays of its program's.
class CollectivesOf {
 public:
  CollectivesOf(SessionRef rank, std::uint64_t offset, std::uint64_t bytes, const py::object& timeout)
      : rank_(std::move(rank)) {
    comm::CollectiveOptions options;
    options.timeout = rank_->options().timeout;
    if (!timeout.is_none()) options.timeout = duration_of(timeout, "timeout");
    rank_->call_nothing([&](Communicator& of) -> Result<void> {
      (void)rank_->windows();
      auto made = Collectives::over(of.domain(), {offset, bytes}, options);
      if (!made) return made.error();
      over_.emplace(*std::move(made));
      return {};
    });
  }
  void call(const std::function<Result<void>(Collectives&)>& work) const {
    rank_->call_nothing([&](Communicator&) {
      (void)rank_->windows();  // with which the domain has gone that they are over
      return work(*over_);
    });
  }
  std::uint32_t rank() const { return rank_->get().rank(); }
  std::uint32_t ranks() const { return rank_->get().ranks(); }

 private:
  SessionRef rank_;
  mutable std::optional<Collectives> over_;
};

void all_reduce(const CollectivesOf& of, const py::object& data, const py::object& result,
                const std::string& operation, const std::string& algorithm) {
  const Dense in(data, result.is_none());
  std::optional<Dense> out;
  if (!result.is_none()) out.emplace(result, true);
  if (out && !out->is_like(in)) throw unlike("a result that is not like what is reduced");
  auto* const to = out ? out->data : in.data;
  const auto op = operation_of(operation);
  const auto how = algorithm_of(algorithm);
  of.call([&](Collectives& all) { return all.all_reduce(in.data, to, in.count, in.dtype, op, how); });
}

std::size_t part_of(const CollectivesOf& of, std::size_t count) {
  return comm::part_of(count, of.ranks(), of.rank()).count;
}

void all_gather(const CollectivesOf& of, const py::object& part, const py::object& result) {
  const Dense in(part, false), out(result, true);
  if (in.dtype != out.dtype || in.count != part_of(of, out.count)) {
    throw unlike("a part of " + std::to_string(in.count) + " elements, where that of this rank has " +
                 std::to_string(part_of(of, out.count)) + " of the " + std::to_string(out.count));
  }
  of.call([&](Collectives& all) { return all.all_gather(in.data, out.data, out.count, out.dtype); });
}

void reduce_scatter(const CollectivesOf& of, const py::object& data, const py::object& part,
                    const std::string& operation) {
  const Dense in(data, false), out(part, true);
  if (in.dtype != out.dtype || out.count != part_of(of, in.count)) {
    throw unlike("a part of " + std::to_string(out.count) + " elements, where that of this rank has " +
                 std::to_string(part_of(of, in.count)) + " of the " + std::to_string(in.count));
  }
  const auto op = operation_of(operation);
  of.call([&](Collectives& all) { return all.reduce_scatter(in.data, out.data, in.count, in.dtype, op); });
}

void broadcast(const CollectivesOf& of, const py::object& data, std::uint32_t root) {
  const Dense all_of(data, true);
  of.call([&](Collectives& all) { return all.broadcast(all_of.data, all_of.count, all_of.dtype, root); });
}

void all_to_all(const CollectivesOf& of, const py::object& data, const py::object& result) {
  const Dense in(data, false), out(result, true);
  const auto ranks = of.ranks();
  if (!out.is_like(in) || in.count % ranks != 0)
    throw unlike("arrays of " + std::to_string(in.count) + " and " + std::to_string(out.count) +
                 " elements, of which each of " + std::to_string(ranks) + " ranks gets a block");
  of.call([&](Collectives& all) { return all.all_to_all(in.data, out.data, in.count / ranks, in.dtype); });
}

}  // namespace

py::object collectives_of(SessionRef rank, std::uint64_t offset, std::uint64_t bytes,
                          const py::object& timeout) {
  return py::cast(std::make_unique<CollectivesOf>(std::move(rank), offset, bytes, timeout));
}

void add_collectives(py::module_& module) {
  py::class_<CollectivesOf>(
      module, "Collectives",
      "Collective operations over the arrays of the programs of ranks: comm.collectives().\n\n"
      "Every rank makes the same calls in the same order; each blocks.")
      .def_property_readonly(
          "rank", [](const CollectivesOf& of) { return of.rank(); }, "Of this program.")
      .def_property_readonly(
          "ranks", [](const CollectivesOf& of) { return of.ranks(); }, "How many there are.")
      .def("all_reduce", &all_reduce, py::arg("data"), py::arg("result") = py::none(), py::kw_only(),
           py::arg("operation") = "sum", py::arg("algorithm") = "automatic",
           "Every rank gets the sum (or min, max) of all; in `result`, or where the data is.")
      .def("all_gather", &all_gather, py::arg("part"), py::arg("result"), "Every rank gets the parts of all.")
      .def("reduce_scatter", &reduce_scatter, py::arg("data"), py::arg("part"), py::kw_only(),
           py::arg("operation") = "sum", "Every rank gets its part of the sum.")
      .def("broadcast", &broadcast, py::arg("data"), py::arg("root") = 0, "Every rank gets what one has.")
      .def("all_to_all", &all_to_all, py::arg("data"), py::arg("result"),
           "Every rank gets a block from each: block p of `data` goes to rank p.")
      .def(
          "barrier", [](const CollectivesOf& of) { of.call([](Collectives& all) { return all.barrier(); }); },
          "No rank goes on before all are there.")
      .def(
          "reset", [](const CollectivesOf& of) { of.call([](Collectives& all) { return all.reset(); }); },
          "Back in step after a failure that did not end the domain; every rank calls it.")
      .def("part_of", &part_of, py::arg("count"),
           "How many of `count` elements are this rank's part, in all_gather and reduce_scatter.")
      .def("__repr__", [](const CollectivesOf& of) {
        return "<troupe.Collectives of rank " + std::to_string(of.rank()) + " of " +
               std::to_string(of.ranks()) + ">";
      });
}

}  // namespace troupe::python
