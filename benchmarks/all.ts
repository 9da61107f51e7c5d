/** Every benchmark, one after the other. */
for (const name of ['lanes', 'rpc', 'fan-out', 'connections', 'journal', 'sessions', 'send', 'startup'])
  await import(`./${name}.js`)
