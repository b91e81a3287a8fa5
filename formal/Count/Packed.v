(** rules.md, Lemma 4: how many choices have a small sum of losses, by generating polynomials in one big integer.

    A polynomial is evaluated at [2 ^ w]. Nothing is said of lanes: the product of the rows' sums is a sum over all
    choices, what is left of it modulo [2 ^ (w * (most + 1))] is that of the choices with a loss of at most [most], and
    each of these is 1 modulo [2 ^ w - 1]. *)

From Coq Require Import ZArith List Lia Bool.
From Compact Require Import Count.Counting.
Import ListNotations.
Open Scope Z_scope.

Fixpoint multiply (l : list Z) : Z := match l with [] => 1 | x :: rest => x * multiply rest end.

Lemma add_up_app : forall a b, add_up (a ++ b) = add_up a + add_up b.
Proof. induction a as [|x a IH]; intros b; cbn [app add_up]; [lia|]. rewrite IH. lia. Qed.

Lemma add_up_scale : forall (A : Type) (f : A -> Z) c l, add_up (map (fun x => c * f x) l) = c * add_up (map f l).
Proof. induction l as [|x l IH]; cbn [map add_up]; [lia|]. rewrite IH. lia. Qed.

Lemma add_up_plus : forall (A : Type) (f g : A -> Z) l,
  add_up (map (fun x => f x + g x) l) = add_up (map f l) + add_up (map g l).
Proof. induction l as [|x l IH]; cbn [map add_up]; [lia|]. rewrite IH. lia. Qed.

Section Sums.
Context {A : Type}.

Lemma product_of_sums : forall (g : A -> Z) rows,
  multiply (map (fun row => add_up (map g row)) rows) = add_up (map (fun cs => multiply (map g cs)) (product rows)).
Proof.
  induction rows as [|row rest IH]; [reflexivity|]. cbn [map multiply product]. rewrite IH. clear IH.
  induction row as [|c row IHrow]; [reflexivity|].
  cbn [map add_up flat_map]. rewrite Z.mul_add_distr_r, IHrow, map_app, add_up_app. f_equal.
  rewrite map_map. cbn [map multiply]. now rewrite <- (add_up_scale (list A)).
Qed.

Lemma count_as_sum : forall (P : list A -> bool) rows,
  count P rows = add_up (map (fun cs => if P cs then 1 else 0) (product rows)).
Proof.
  intros P rows. rewrite count_filter. induction (product rows) as [|cs l IH]; [reflexivity|].
  cbn [filter map add_up]. rewrite <- IH. destruct (P cs); cbn [length]; lia.
Qed.

Lemma count_ext : forall (P Q : list A -> bool) rows, (forall cs, In cs (product rows) -> P cs = Q cs) ->
  count P rows = count Q rows.
Proof. intros P Q rows same. apply Z.le_antisymm; apply count_le; intros cs I; rewrite (same cs I); auto. Qed.

(** Whether something holds splits a count. *)
Lemma count_split : forall (P Q : list A -> bool) rows,
  count P rows = count (fun cs => P cs && Q cs) rows + count (fun cs => P cs && negb (Q cs)) rows.
Proof.
  intros P Q rows. rewrite !count_as_sum, <- add_up_plus. f_equal. apply map_ext. intros cs.
  destruct (P cs), (Q cs); reflexivity.
Qed.

Variable allowed : A -> bool.

(** All choices of allowed members. *)
Lemma count_allowed : forall rows,
  count (forallb allowed) rows = multiply (map (fun row => add_up (map (fun a => if allowed a then 1 else 0) row)) rows).
Proof.
  intros rows. rewrite product_of_sums, count_as_sum. f_equal. apply map_ext. intros cs.
  induction cs as [|a cs IH]; [reflexivity|]. cbn [forallb map multiply]. rewrite <- IH. now destruct (allowed a), (forallb allowed cs).
Qed.

Variables (loss : A -> Z) (w most : Z).
Hypothesis w_pos : 0 < w.
Hypothesis most_nonneg : 0 <= most.

Definition loss_of (cs : list A) : Z := add_up (map loss cs).
Definition term (a : A) : Z := if allowed a then 2 ^ (w * loss a) else 0.
Definition natural_losses (l : list A) : Prop := Forall (fun a => allowed a = true -> 0 <= loss a) l.

Lemma losses_nonneg : forall cs, natural_losses cs -> forallb allowed cs = true ->
  0 <= loss_of cs /\ forall a, In a cs -> loss a <= loss_of cs.
Proof.
  unfold loss_of. induction cs as [|a cs IH]; intros N F; cbn [map add_up]; [split; [lia | easy]|].
  inversion N as [|? ? N1 N2]; subst. cbn [forallb] in F. apply andb_prop in F. destruct F as [F1 F2].
  destruct (IH N2 F2) as [B C]. specialize (N1 F1). split; [lia|]. intros b [<-|I]; [lia|]. specialize (C b I). lia.
Qed.

Lemma terms_multiply : forall cs, natural_losses cs ->
  multiply (map term cs) = if forallb allowed cs then 2 ^ (w * loss_of cs) else 0.
Proof.
  induction cs as [|a cs IH]; intros N; [unfold loss_of; cbn; now rewrite Z.mul_0_r|].
  inversion N as [|? ? N1 N2]; subst. cbn [map multiply forallb]. rewrite (IH N2). unfold term.
  destruct (allowed a) eqn:F1; [|reflexivity]. cbn [andb].
  destruct (forallb allowed cs) eqn:F2; [|lia]. destruct (losses_nonneg cs N2 F2) as [B _]. specialize (N1 eq_refl).
  rewrite <- Z.pow_add_r by nia. f_equal. unfold loss_of. cbn [map add_up]. lia.
Qed.

(** Of a sum of powers, those up to [most], and a multiple of the first that is left out. *)
Lemma powers_split : forall (B : Type) (keep : B -> bool) (e : B -> Z) l, (forall x, In x l -> keep x = true -> 0 <= e x) ->
  exists small large c, let n := Z.of_nat (length (filter (fun x => keep x && (e x <=? most)) l)) in
    add_up (map (fun x => if keep x then 2 ^ (w * e x) else 0) l) = small + 2 ^ (w * (most + 1)) * large /\
    small = n + (2 ^ w - 1) * c /\ 0 <= small <= n * 2 ^ (w * most).
Proof.
  intros B keep e. induction l as [|x l IH]; intros N.
  - exists 0, 0, 0. cbn [map add_up filter length]. rewrite !Z.mul_0_r. repeat split; lia.
  - destruct IH as (small & large & c & E & C & S); [intros; apply N; [now right | assumption]|].
    cbn zeta in *. cbn [map add_up filter]. rewrite E.
    destruct (keep x) eqn:F; cbn [andb]; [|exists small, large, c; split; [lia|]; split; [|lia]].
    2: exact C.
    specialize (N x (or_introl eq_refl) F). destruct (e x <=? most) eqn:L.
    + apply Z.leb_le in L.
      assert (one : exists c', 2 ^ (w * e x) = 1 + (2 ^ w - 1) * c').
      { rewrite Z.pow_mul_r by lia. revert N. generalize (e x). intros n N. pattern n. apply natlike_ind; [| |exact N].
        - exists 0. rewrite Z.pow_0_r. ring.
        - intros i I (c' & Ec). exists (c' * 2 ^ w + 1). rewrite Z.pow_succ_r, Ec by assumption. ring. }
      destruct one as (c' & Ec).
      assert (2 ^ (w * e x) <= 2 ^ (w * most)) by (apply Z.pow_le_mono_r; nia).
      assert (0 < 2 ^ (w * e x)) by (apply Z.pow_pos_nonneg; nia).
      exists (2 ^ (w * e x) + small), large, (c + c'). cbn [length]. rewrite Nat2Z.inj_succ.
      split; [lia|]. split; [rewrite Ec; lia | lia].
    + apply Z.leb_gt in L. exists small, (large + 2 ^ (w * (e x - (most + 1)))), c. split; [|split; [assumption | lia]].
      replace (2 ^ (w * e x)) with (2 ^ (w * (most + 1)) * 2 ^ (w * (e x - (most + 1))))
        by (rewrite <- Z.pow_add_r by nia; f_equal; lia). ring.
Qed.

Definition within (cs : list A) : bool := forallb allowed cs && (loss_of cs <=? most).

Lemma choice_natural : forall rows cs, Forall natural_losses rows -> In cs (product rows) -> natural_losses cs.
Proof.
  intros rows cs N I. apply in_product in I. induction I as [|a row cs rows' J _ IH]; [constructor|].
  inversion N as [|? ? N1 N2]; subst. unfold natural_losses in N1. rewrite Forall_forall in N1.
  constructor; [now apply N1 | now apply IH].
Qed.

Theorem packed_count : forall rows, Forall natural_losses rows -> count within rows < 2 ^ w - 1 ->
  (multiply (map (fun row => add_up (map term row)) rows) mod 2 ^ (w * (most + 1))) mod (2 ^ w - 1) = count within rows.
Proof.
  intros rows N few. rewrite product_of_sums.
  rewrite (map_ext_in _ (fun cs => if forallb allowed cs then 2 ^ (w * loss_of cs) else 0))
    by (intros; apply terms_multiply; now apply (choice_natural rows)).
  destruct (powers_split _ (forallb allowed) loss_of (product rows)) as (small & large & c & E & C & S).
  { intros cs I F. now apply losses_nonneg; [apply (choice_natural rows)|]. }
  cbn zeta in *. rewrite E. clear E. rewrite count_filter in *. unfold within in *.
  set (n := Z.of_nat _) in *.
  assert (0 < 2 ^ (w * most)) by (apply Z.pow_pos_nonneg; nia).
  assert (1 < 2 ^ w) by (apply Z.pow_gt_1; lia).
  assert (big : 2 ^ (w * (most + 1)) = 2 ^ w * 2 ^ (w * most)) by (rewrite <- Z.pow_add_r by nia; f_equal; lia).
  assert (small < 2 ^ (w * (most + 1))).
  { rewrite big. set (x := 2 ^ (w * most)) in *. assert (n * x <= (2 ^ w - 1) * x) by (apply Z.mul_le_mono_nonneg_r; lia). lia. }
  rewrite (Z.mul_comm (2 ^ (w * (most + 1)))), Z_mod_plus_full, (Z.mod_small small) by lia.
  rewrite C, (Z.mul_comm (2 ^ w - 1)), Z_mod_plus_full. apply Z.mod_small. split; [unfold n; lia | assumption].
Qed.
End Sums.
