'use strict';
// The airtime menu of menus/airtime with ussd-menu-builder: the same questions and screens in the
// same language. Nothing is kept between two hops: the package walks the cumulative text anew each
// time, so any process of a cluster can take any hop. That is its fastest use.
const UssdMenu = require('ussd-menu-builder');

const OPERATORS = { '01': 'Moov Africa', '05': 'MTN', '07': 'Orange' };
const SUGGESTED = [500, 1000, 2000, 5000];
const FEE = 100;

const grouped = (number) => number.match(/../g).join(' ');
const money = (amount) => `${String(amount).replace(/\B(?=(\d{3})+$)/g, ' ')} F`;
const national = (msisdn) => msisdn.replace(/^\+?225/, '');
const operatorOf = (number) => OPERATORS[number.slice(0, 2)];

function amountOf(typed) {
  return SUGGESTED[Number(typed) - 1] || Number(typed);
}

// "1*2" is for oneself, 1 000 F; "2*0701020304*500" for somebody else.
function purchaseOf(menu) {
  const inputs = menu.args.text.split('*');
  const payer = national(menu.args.phoneNumber);
  return inputs[0] === '1'
    ? { payer, to: payer, amount: amountOf(inputs[1]) }
    : { payer, to: inputs[1], amount: amountOf(inputs[2]) };
}

function airtimeMenu() {
  const menu = new UssdMenu();
  menu.startState({
    run: () => menu.con('Recharge pour qui ?\n1. Moi\n2. Autre numéro\n3. Mon dernier achat'),
    next: { 1: 'amount', 2: 'number', 3: 'last' },
  });
  menu.state('number', {
    run: () => menu.con('Numéro à recharger ?\n0. Retour'),
    next: { '*^0[157]\\d{8}$': 'amount' },
  });
  menu.state('last', { run: () => menu.end('Aucun achat avec ce numéro.') });
  menu.state('amount', {
    run: () => menu.con('Montant ? Choisissez ou tapez (500 F à 500 000 F)\n' +
      SUGGESTED.map((amount, i) => `${i + 1}. ${money(amount)}\n`).join('') +
      '5. Autre montant\n0. Retour'),
    next: { 5: 'other', '*^([1-4]|\\d{3,6})$': 'confirm' },
  });
  menu.state('other', {
    run: () => menu.con('Tapez le montant, de 500 F à 500 000 F :\n0. Retour\n00. Accueil'),
    next: { '*^\\d{3,6}$': 'confirm' },
  });
  menu.state('confirm', {
    run: () => {
      const { payer, to, amount } = purchaseOf(menu);
      menu.con(`Recharge ${money(amount)} ${operatorOf(to)}\n${grouped(to)}\n` +
        `Frais ${money(FEE)}, total ${money(amount + FEE)} par ${operatorOf(payer)}\n` +
        '1. Confirmer\n2. Annuler\n3. Autre opérateur\n0. Retour');
    },
    next: { 1: 'done', 2: 'cancelled' },
  });
  menu.state('done', { run: () => menu.end('Demande reçue. Un SMS confirmera.') });
  menu.state('cancelled', { run: () => menu.end("Achat annulé. Rien n'a été débité.") });
  return menu;
}

module.exports = airtimeMenu();
