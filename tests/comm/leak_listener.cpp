// Runs beside every test case of the comm floor: when one leaves a descriptor (socket, memfd, epoll), a
// mapped window or mailbox, or a name in /dev/shm behind, the program ends with an error that says what.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "comm/leaks.hpp"

namespace troupe::comm::test {
namespace {

/// Lines of /proc/self/maps that are memory of ours.
std::multiset<std::string> own_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::multiset<std::string> result;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:troupe") != std::string::npos || line.find("/dev/shm/") != std::string::npos) {
      result.insert(line);
    }
  }
  return result;
}

struct Held {
  std::set<std::string> descriptors = held_descriptors();
  std::set<std::string> names = own_shared_memory_names();
  std::multiset<std::string> mappings = own_mappings();
};

class LeakListener final : public doctest::IReporter {
 public:
  explicit LeakListener(const doctest::ContextOptions&) {}

  void test_case_start(const doctest::TestCaseData& test) override {
    name_ = test.m_name;
    before_ = Held();
  }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    if (stats.failure_flags != 0) return;  // a test that ended half-way has told enough
    const Held after;
    const bool leaks = report("descriptor", before_.descriptors, after.descriptors) |
                       report("name in /dev/shm", before_.names, after.names) |
                       report("mapping", before_.mappings, after.mappings);
    if (leaks) std::exit(1);
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  template <class Set>
  bool report(const char* what, const Set& before, const Set& after) const {
    Set more;
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                        std::inserter(more, more.end()));
    for (const std::string& item : more) {
      std::fprintf(stderr, "LEAK: \"%s\" leaves a %s behind: %s\n", name_, what, item.c_str());
    }
    return !more.empty();
  }

  const char* name_ = "";
  Held before_;
};

REGISTER_LISTENER("leaks", 1, LeakListener);

}  // namespace
}  // namespace troupe::comm::test
