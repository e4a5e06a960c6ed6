// A rank, and what its program does with the windows of all.
#include "ranks/ranks.hpp"
#include "system/machine.hpp"
#include "troupe/comm/collectives.hpp"

namespace troupe::python {
namespace {

using comm::Compare;
using comm::NotifyOp;

Compare compare_of(const std::string& word) {
  return one_of<Compare>(word,
                         {{"==", Compare::equal},
                          {"!=", Compare::not_equal},
                          {">", Compare::greater},
                          {">=", Compare::greater_equal},
                          {"<", Compare::less},
                          {"<=", Compare::less_equal}},
                         "compare");
}

/// Calls `work` with a value of the type of a signal word.
template <class Work>
auto with_word(const std::string& type, const py::object& value, Work work) {
  const auto number = whole_number(value, "value");
  if (type == "int32") return work(integer_of<std::int32_t>(number, "value"));
  if (type == "uint32") return work(integer_of<std::uint32_t>(number, "value"));
  if (type == "int64") return work(integer_of<std::int64_t>(number, "value"));
  if (type == "uint64") return work(integer_of<std::uint64_t>(number, "value"));
  throw bad_argument("type \"" + type + "\"", "a signal word is an int32, uint32, int64 or uint64");
}

void put(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& data) {
  const Dense from(data, false);
  of->call_nothing([&](Communicator&) { return of->windows().put(rank, offset, {from.data, from.bytes()}); });
}

void get(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& data) {
  const Dense to(data, true);
  of->call_nothing([&](Communicator&) { return of->windows().get(rank, offset, {to.data, to.bytes()}); });
}

void notify(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& value,
            const std::string& op, const std::string& type) {
  const auto how = one_of<NotifyOp>(op, {{"set", NotifyOp::set}, {"add", NotifyOp::add}}, "op");
  with_word(type, value, [&](auto word) {
    of->call_nothing([&](Communicator&) { return of->windows().notify(rank, offset, how, word); });
  });
}

void wait_until(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const std::string& compare,
                const py::object& value, const std::string& type, const py::object& timeout) {
  const auto how = compare_of(compare);
  const auto until = of->until(timeout);
  with_word(type, value, [&](auto word) {
    of->call_nothing([&](Communicator&) { return of->windows().wait_until(rank, offset, how, word, until); });
  });
}

bool test(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const std::string& compare,
          const py::object& value, const std::string& type) {
  const auto how = compare_of(compare);
  return with_word(type, value, [&](auto word) -> bool {
    return of->call([&](Communicator&) { return of->windows().test(rank, offset, how, word); });
  });
}

}  // namespace

void add_ranks(py::module_& module) {
  add_collectives(module);
  py::class_<Session, SessionRef>(
      module, "Communicator",
      "A program that is one of several ranks: threads of one process, or processes of one user.\n\n"
      "    with troupe.Communicator(rank, ranks, \"job 17\") as comm:\n"
      "        comm.alloc_windows(1 << 21)             # meets the others, who name the same job\n"
      "        comm.collectives().all_reduce(x)        # x: an array\n\n"
      "timeout        seconds that a call waits for ranks that do not come; TROUPE_COMM_TIMEOUT, or 120\n"
      "allow_several  a further one where there is one already\n\n"
      "No System is needed, and chips know nothing of it. A rank that dies ends every wait with peer_lost. "
      "Ctrl-C while it\n"
      "waits is abort().")
      .def(py::init<std::uint32_t, std::uint32_t, const std::string&, const py::object&, bool>(),
           py::arg("rank"), py::arg("ranks"), py::arg("meeting"), py::kw_only(),
           py::arg("timeout") = py::none(), py::arg("allow_several") = false)
      .def_property_readonly(
          "rank", [](const SessionRef& of) { return of->get().rank(); }, "Of this program.")
      .def_property_readonly(
          "ranks", [](const SessionRef& of) { return of->get().ranks(); }, "How many there are.")
      .def_property_readonly(
          "window_size", [](const SessionRef& of) { return of->get().window_size(); },
          "Bytes of each rank's window; 0: there are none yet.")
      .def(
          "alloc_windows",
          [](const SessionRef& of, std::uint64_t nbytes) {
            of->call_nothing([&](Communicator& rank) -> Result<void> {
              auto made = rank.alloc_windows(nbytes);
              if (!made) return made.error();
              return {};
            });
          },
          py::arg("nbytes"), "Meets the other ranks; each has a window of so many bytes then, zeroed. Once.")
      .def("put", &put, py::arg("rank"), py::arg("offset"), py::arg("data"),
           "Copies an array into the window of a rank, `offset` bytes from its begin.")
      .def("get", &get, py::arg("rank"), py::arg("offset"), py::arg("data"),
           "Copies out of the window of a rank, into an array.")
      .def("notify", &notify, py::arg("rank"), py::arg("offset"), py::arg("value"), py::arg("op") = "set",
           py::arg("type") = "uint32",
           "Sets a word in the window of a rank, or adds to it, and wakes who waits for it. What was put "
           "before "
           "is seen\n"
           "by who sees that.")
      .def("wait_until", &wait_until, py::arg("rank"), py::arg("offset"), py::arg("compare"),
           py::arg("value"), py::arg("type") = "uint32", py::arg("timeout") = py::none(),
           "Waits for a word in the window of a rank: comm.wait_until(comm.rank, 0, \"==\", 1).")
      .def("test", &test, py::arg("rank"), py::arg("offset"), py::arg("compare"), py::arg("value"),
           py::arg("type") = "uint32", "Looks once whether wait_until would wait.")
      .def(
          "fence",
          [](const SessionRef& of) {
            of->call_nothing(
                [&](Communicator&) -> Result<void> { return of->windows().fence(), Result<void>(); });
          },
          "What was put before is there before what is put later.")
      .def(
          "barrier",
          [](const SessionRef& of) { of->call_nothing([](Communicator& rank) { return rank.barrier(); }); },
          "No rank goes on before all are there.")
      .def(
          "collectives",
          [](const SessionRef& of, std::uint64_t offset, std::uint64_t nbytes, const py::object& timeout) {
            return collectives_of(of, offset, nbytes, timeout);
          },
          py::arg("offset") = 0, py::arg("nbytes") = comm::CollectiveWorkspace::comfortable,
          py::arg("timeout") = py::none(),
          "Collective operations, which use so many bytes of the windows for themselves.")
      .def(
          "abort", [](const SessionRef& of) { of->get().abort(); },
          "Ends every wait of every rank with `aborted`. On any thread.")
      .def(
          "destroy",
          [](const SessionRef& of) { of->call_nothing([](Communicator& rank) { return rank.destroy(); }); },
          "Leaves together with the others; the end of `with` does it.")
      .def("__enter__", [](const SessionRef& of) { return of; })
      .def("__exit__",
           [](const SessionRef& of, const py::object& type, const py::object&, const py::object&) {
             // After an exception nobody should wait for this rank.
             if (!type.is_none()) of->get().abort();
             try {
               of->call_nothing([](Communicator& rank) { return rank.destroy(); });
             } catch (const Error&) {
               if (type.is_none()) throw;
             }
           })
      .def("__repr__", [](const SessionRef& of) {
        return "<troupe.Communicator, rank " + std::to_string(of->get().rank()) + " of " +
               std::to_string(of->get().ranks()) + (of->has_windows() ? ">" : ", without windows>");
      });
}

}  // namespace troupe::python
