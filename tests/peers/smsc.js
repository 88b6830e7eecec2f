// An SMPP service centre made of npm's `smpp`: a port on stdout, then a JSON line for each thing that happens.
// Arguments: milliseconds before each answer, requests a second (0: any number).
const smpp = require('smpp');

const [delay, cap] = process.argv.slice(2).map(Number);
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
let number = 0;
let taken = [];

function tooFast() {
  const now = Date.now();
  taken = taken.filter((one) => now - one < 1000);
  if (cap && taken.length >= cap) return true;
  taken.push(now);
  return false;
}

function receipt(session, pdu, id) {
  const text = `id:${id} sub:001 dlvrd:001 submit date:2501020304 done date:2501020305 stat:DELIVRD err:000 text:`;
  session.deliver_sm({
    source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4,
    short_message: Buffer.from(text), receipted_message_id: id, message_state: 2,
  }, (answer) => say({ event: 'receipt answered', status: answer.command_status }));
}

function submit(session, pdu) {
  if (tooFast()) {
    session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    return;
  }
  const id = (++number).toString(16).padStart(8, '0');
  const short = pdu.short_message;
  const udh = short.udh ? Buffer.concat([].concat(short.udh)).toString('hex') : '';
  const text = typeof short.message === 'string' ? short.message : short.message.toString('latin1');
  say({ event: 'submit', id, to: pdu.destination_addr, from: pdu.source_addr, coding: pdu.data_coding,
    esm: pdu.esm_class, registered: pdu.registered_delivery, udh, text });
  setTimeout(() => {
    session.send(pdu.response({ message_id: id }));
    if ((pdu.registered_delivery & 3) === 1) setTimeout(() => receipt(session, pdu, String(number && parseInt(id, 16))), 20);
  }, delay);
}

const server = smpp.createServer({}, (session) => {
  session.on('error', (error) => say({ event: 'error', code: error.code || String(error) }));
  for (const name of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(name, (pdu) => {
      const good = pdu.system_id === 'esme1' && pdu.password === 'secret08';
      say({ event: name, version: pdu.interface_version, good });
      session.send(pdu.response(good ? {} : { command_status: smpp.ESME_RINVPASWD }));
      if (!good) session.close();
    });
  }
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => { say({ event: 'enquire_link' }); session.send(pdu.response()); });
  session.on('unbind', (pdu) => { say({ event: 'unbind' }); session.send(pdu.response(), () => session.close()); });
});
server.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
