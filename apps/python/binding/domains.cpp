// Communication domains.
#include "system/machine.hpp"

namespace troupe::python {
namespace {

using actors::Domain;

/// One rank of a domain, which it keeps.
struct RankOf {
  Domain domain;
  int index;
  actors::DomainRank rank() const { return domain.rank(index); }
};

constexpr auto each_hint = "domain.each(lambda rank: args(inout(rank.buffer(\"x\"))))";

actors::Tensor buffer_of(const RankOf& of, const std::string& name, const py::object& dtype) {
  const auto rank = of.rank();
  return with_element(dtype_of(dtype), [&](auto zero) { return rank.buffer<decltype(zero)>(name); });
}

actors::DomainSpec spec_of(const py::object& chips, const py::object& buffers, std::uint64_t window) {
  actors::DomainSpec spec;
  for (const auto& chip : items_of(chips, "chips", "a list of their numbers", "allocate_domain([0, 1], …)"))
    spec.chips.push_back(integer_of<int>(chip, "a chip of a domain"));
  spec.window = window;
  constexpr auto hint = "{\"scratch\": 4096}";
  if (!py::isinstance<py::dict>(buffers))
    throw bad_argument("buffers is a dict of names and bytes, and " + shown(buffers) + " is none", hint);
  for (const auto& [key, bytes] : buffers.cast<py::dict>()) {
    auto name = string_of(key, "the name of a buffer", hint);
    const auto many = integer_of<std::int64_t>(bytes, "the bytes of buffer \"" + name + "\"");
    if (many < 0) throw bad_argument("buffer \"" + name + "\" has " + std::to_string(many) + " bytes");
    spec.buffers.push_back({std::move(name), static_cast<std::uint64_t>(many)});
  }
  return spec;
}

}  // namespace

void add_domains(py::module_& module) {
  py::class_<actors::DomainContext>(
      module, "DomainContext",
      "A rank's part of a domain as an argument: the kernel gets the address of its context.")
      .def("__repr__", [](const actors::DomainContext& context) {
        return "<troupe.DomainContext of domain " + std::to_string(context.domain) + ">";
      });
  py::class_<RankOf>(module, "Rank", "One rank of a domain.")
      .def_property_readonly(
          "index", [](const RankOf& of) { return of.index; }, "Its number in the domain.")
      .def_property_readonly(
          "chip", [](const RankOf& of) { return of.rank().chip(); }, "The number of its chip on the node.")
      .def_property_readonly(
          "ranks", [](const RankOf& of) { return of.domain.size(); }, "How many there are.")
      .def("buffer", &buffer_of, py::arg("name"), py::arg("dtype") = "float32",
           "A named buffer in this rank's window, as a device-resident tensor.")
      .def(
          "address_of", [](const RankOf& of, const std::string& name) { return of.rank().address_of(name); },
          py::arg("name"), "The address of a buffer as a scalar, for kernels that take addresses.")
      .def(
          "context", [](const RankOf& of) { return of.rank().context(); },
          "The domain itself, as an argument.")
      .def("__repr__", [](const RankOf& of) {
        return "<troupe.Rank " + std::to_string(of.index) + " of " + std::to_string(of.domain.size()) + ">";
      });
  py::class_<Domain>(
      module, "Domain",
      "A communication domain: chips with windows that the others see. Released with its last name.")
      .def("__len__", &Domain::size)
      .def(
          "rank",
          [](const Domain& domain, int index) {
            return (void)domain.rank(index), RankOf{domain, index};
          },
          py::arg("index"), "One of its ranks, from 0 on.")
      .def(
          "each",
          [](const Domain& domain, const py::object& make) {
            if (PyCallable_Check(make.ptr()) == 0)
              throw bad_argument("make is a function of a rank, and " + shown(make) + " is none", each_hint);
            py::list members;
            for (int i = 0; i < domain.size(); ++i) {
              const auto made = make(RankOf{domain, i});
              if (!py::isinstance<Member>(made))
                throw bad_argument("each rank's arguments are args(…), and " + shown(made) + " is none");
              auto member = made.cast<Member>();
              member.home = domain.rank(i).chip();
              members.append(py::cast(std::move(member)));
            }
            return members;
          },
          py::arg("make"),
          "The members of a group, one for each rank on its chip: domain.each(lambda rank: "
          "args(inout(rank.buffer(\"x\")))).")
      .def("__repr__", [](const Domain& domain) {
        return "<troupe.Domain of " + std::to_string(domain.size()) + " ranks>";
      });

  auto program = py::reinterpret_borrow<py::class_<Seat, SeatRef>>(module.attr("Orchestrator"));
  program
      .def(
          "allocate_domain",
          [](const SeatRef& seat, const py::object& chips, const py::object& buffers, std::uint64_t window) {
            (void)seat->use();
            Wait wait{Wait::What::domain, seat};
            wait.spec = std::make_shared<const actors::DomainSpec>(spec_of(chips, buffers, window));
            return wait;
          },
          py::arg("chips"), py::arg("buffers") = py::dict(), py::arg("window") = 0,
          "A domain over chips of this node, with named buffers of so many bytes in each rank's window:\n"
          "`domain = await node.allocate_domain([0, 1], {\"scratch\": 4096})`, or .get() in a plain program.")
      .def(
          "barrier",
          [](const SeatRef& seat, const Domain& domain, int rank) {
            (void)seat->use();
            Wait wait{Wait::What::barrier, seat};
            wait.domain = domain;
            wait.rank = rank;
            return wait;
          },
          py::arg("domain"), py::arg("rank"), "Goes on when all ranks of the domain have come here.");
}

}  // namespace troupe::python
