// says: a submit takes each option once
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) { node.submit("step", troupe::on_chip(0), troupe::on_chip(1)); }
