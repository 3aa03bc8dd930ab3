(program)
