// The broker aedes on a port of 127.0.0.1: node aedes_broker.js PORT
'use strict'
const { createServer } = require('node:net')
const { Aedes } = require('aedes')

async function main () {
  const broker = await Aedes.createBroker()
  broker.on('clientError', (client, error) => console.error('client', client && client.id, error.message))
  broker.on('connectionError', (client, error) => console.error('connection', client && client.id, error.message))
  broker.on('client', client => console.error('session', client.id))
  const server = createServer(socket => {
    socket.setNoDelay(true)
    broker.handle(socket)
  })
  server.listen(Number(process.argv[2]), '127.0.0.1')
}

main()
