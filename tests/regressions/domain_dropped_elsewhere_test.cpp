// The last copy of a Domain released it wherever it went: on another thread, it wrote into its program's list
// of submits while the program did.
//
// Promised now: a copy may go on any thread. The domain is released when its program next submits or waits,
// or with its run.
#include <doctest/doctest.h>

#include <thread>
#include <utility>

#include "support/built.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

TEST_CASE("a domain whose last copy goes on another thread is released when its program goes on") {
  System system({.threads = 2});
  // Two such windows do not fit.
  const auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"),
                                 .chips = 1,
                                 .device_options = {{"memory_bytes", "16777216"}}});
  node.run([](Orchestrator& program) {
    DomainSpec spec;
    spec.chips = {0};
    spec.buffers = {{"all", 10_MiB}};
    for (int i = 0; i < 5; ++i) {
      auto domain = program.allocate_domain(spec).get();
      std::jthread other([last = std::exchange(domain, {})]() mutable { last = {}; });
      for (int submits = 0; submits < 100; ++submits) program.submit_sub([](HostArgs&) {});
      other.join();
    }
    program.drain();
  });
}

TEST_CASE("a domain that outlives its program, on another thread, was taken back with the run") {
  System system({.threads = 2});
  const auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  Domain kept;
  node.run([&](Orchestrator& program) {
    DomainSpec spec;
    spec.chips = {0};
    spec.buffers = {{"all", 64}};
    kept = program.allocate_domain(spec).get();
  });
  std::thread([&] { kept = {}; }).join();
  node.run([](Orchestrator& program) { program.drain(); });
}
