// A user's program whose kernel crashes. Arguments: the module with the kernel, whether the program has a
// handler of its own for that, and settings of the system.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>
#include <troupe/troupe.hpp>

int main(int argc, char** argv) {
  if (argc < 3) return EXIT_FAILURE;
  if (std::string_view(argv[2]) == "own") {
    std::signal(SIGSEGV, [](int) {
      constexpr std::string_view text = "my own handler\n";
      (void)!::write(STDERR_FILENO, text.data(), text.size());
      ::_exit(7);
    });
  }
  troupe::System system(argc, argv);
  auto node = system.node();
  node.load(troupe::runtime::Module::open(argv[1]).value());
  auto x = node.tensor<float>({16}, 0.0f);
  node.run([&](troupe::Orchestrator& program) {
    program.submit("crashes", inout(x), troupe::scalar(0), troupe::name("the fatal step"));
  });
  return EXIT_SUCCESS;
}
